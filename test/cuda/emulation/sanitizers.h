// What the emulator tells ThreadSanitizer and AddressSanitizer. The emulator itself is built without TSan (with
// EMULATOR_TSAN where kernels are built with it), so that only the kernels' own accesses are watched.
#pragma once

#include <cstddef>
#include <cstring>

#ifdef EMULATOR_TSAN
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned);
void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*);
void __tsan_release(void*);
void __tsan_read_range(void*, unsigned long);
void __tsan_write_range(void*, unsigned long);
}
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

#ifdef EMULATOR_TSAN
constexpr bool kTsan = true;
inline void acquire(void* tag) { __tsan_acquire(tag); }
inline void release(void* tag) { __tsan_release(tag); }
inline void saw_read(const void* at, size_t bytes) { __tsan_read_range(const_cast<void*>(at), bytes); }
inline void saw_write(const void* at, size_t bytes) { __tsan_write_range(const_cast<void*>(at), bytes); }
// Copies behind TSan's back (it intercepts memcpy); saw_read and saw_write say who touched what.
inline void raw_copy(void* to, const void* from, size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
}
inline void raw_fill(void* to, int value, size_t bytes) {
  asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
}
#else
constexpr bool kTsan = false;
inline void acquire(void*) {}
inline void release(void*) {}
inline void saw_read(const void*, size_t) {}
inline void saw_write(const void*, size_t) {}
inline void raw_copy(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
inline void raw_fill(void* to, int value, size_t bytes) { std::memset(to, value, bytes); }
#endif

}  // namespace emulator
