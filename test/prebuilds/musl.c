// What glibc's libstdc++ and libgcc_s ask of glibc's loader and musl does not have: with it a program for musl that needs
// libstdc++ (Bun) runs beside Debian's package musl, which brings the C library alone.

#include <stddef.h>
#include <stdint.h>

char __libc_single_threaded = 0;
int __cpu_model[4], __cpu_features2;

int __cpu_indicator_init(void) { return 0; }

/* Destructors of threads' variables are not run. */
int __cxa_thread_atexit_impl(void (*destroy)(void*), void* object, void* library) { return 0; }

ptrdiff_t getrandom(void*, size_t, unsigned);

uint32_t arc4random(void) {
  uint32_t number = 0;
  getrandom(&number, sizeof number, 0);
  return number;
}

size_t strftime_l(char*, size_t, const char*, const void*, void*);

size_t __strftime_l(char* text, size_t size, const char* format, const void* time, void* locale) {
  return strftime_l(text, size, format, time, locale);
}

// How exceptions find the frames of a place in the code: glibc answers it at once, musl lists the libraries.

typedef struct {
  uint32_t type, flags;
  uint64_t offset, address, physical, file_size, size, align;
} Segment;

typedef struct {
  uintptr_t base;
  const char* name;
  const Segment* segments;
  uint16_t count;
} Library;

typedef struct {
  uint64_t flags;
  void *begin, *end, *library, *frames;
  uint64_t reserved[7];
} Found;

typedef struct {
  uintptr_t place;
  Found* found;
} Search;

enum { load = 1, frame_header = 0x6474e550 };

int dl_iterate_phdr(int (*each)(const Library*, size_t, void*), void* data);

static int holds(const Library* library, size_t size, void* data) {
  const Search* search = data;
  Found found = {0};
  for (int i = 0; i < library->count; ++i) {
    const Segment* segment = &library->segments[i];
    const uintptr_t begin = library->base + segment->address;
    if (segment->type == frame_header) found.frames = (void*)begin;
    if (segment->type == load && search->place - begin < segment->size) {
      found.begin = (void*)begin;
      found.end = (void*)(begin + segment->size);
    }
  }
  if (found.begin == NULL || found.frames == NULL) return 0;
  *search->found = found;
  return 1;
}

int _dl_find_object(void* place, Found* found) {
  Search search = {(uintptr_t)place, found};
  return dl_iterate_phdr(holds, &search) ? 0 : -1;
}
