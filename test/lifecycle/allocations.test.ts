/**
 * Memory that runs out inside the addon, at one allocation or from one on: the call that needed it ends with a coded error,
 * and afterwards the same call gives the same bits. What Node and V8 allocate goes on, for they end the process.
 */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { fixtureFolder } from '../lib/fixtures.js';
import { compile } from './shared-libraries.js';

const index = fileURLToPath(new URL('../../dist/index.js', import.meta.url));

/** Between the allocations that are tried: a prime, so that those of a loop fail at each of its places. */
const stride = 47;

// ALLOCATIONS: "5" fails the sixth allocation that magnets.node makes from then on, "5+" all later ones, too, and those of
// the dynamic linker for variables of a thread.
const library = `
  #include <dlfcn.h>
  #include <errno.h>
  #include <link.h>
  #include <stdlib.h>
  #include <string.h>
  #include <sys/mman.h>
  #include <atomic>
  #include <initializer_list>

  namespace {

  struct Code {
    const char* file;
    uintptr_t first = 0, end = 0;
    bool has(void* address) const {
      const auto at = reinterpret_cast<uintptr_t>(address);
      return at >= first && at < end;
    }
  };
  Code addon{"/magnets.node"}, linker{"/ld-linux-x86-64.so.2"};
  std::atomic<long> left{0};
  std::atomic<bool> counting{false};

  int find(dl_phdr_info* info, size_t, void*) {
    const char* name = strrchr(info->dlpi_name, '/');
    for (Code* code : {&addon, &linker}) {
      if (name == nullptr || strcmp(name, code->file) != 0) continue;
      for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& part = info->dlpi_phdr[i];
        if (part.p_type != PT_LOAD || !(part.p_flags & PF_X)) continue;
        code->first = info->dlpi_addr + part.p_vaddr;
        code->end = code->first + part.p_memsz;
      }
    }
    return 0;
  }

  bool fails(void* caller) {
    const char* allocations = getenv("ALLOCATIONS");
    if (allocations == nullptr) return counting = false;
    if (addon.first == 0) dl_iterate_phdr(find, nullptr);
    const bool all = strchr(allocations, '+') != nullptr;
    if (linker.has(caller)) return all && counting && left < 0;
    if (!addon.has(caller)) return false;
    if (!counting.exchange(true)) left = atol(allocations);
    const long before = left.fetch_sub(1);
    if (before == 0) setenv("FAILED", "1", 1);
    return before == 0 || (before < 0 && all);
  }

  }  // namespace

  extern "C" {
  void* __libc_malloc(size_t);
  void* __libc_memalign(size_t, size_t);
  void* malloc(size_t size) { return fails(__builtin_return_address(0)) ? nullptr : __libc_malloc(size); }
  void* aligned_alloc(size_t alignment, size_t size) {
    return fails(__builtin_return_address(0)) ? nullptr : __libc_memalign(alignment, size);
  }
  void* mmap(void* at, size_t size, int protection, int flags, int file, off_t offset) {
    using Map = void* (*)(void*, size_t, int, int, int, off_t);
    static const Map next = reinterpret_cast<Map>(dlsym(RTLD_NEXT, "mmap"));
    if (!fails(__builtin_return_address(0))) return next(at, size, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
  }
  }`;

t.test('no memory in the addon', async (t) => {
  const folder = compile(t, 'no-allocation.so', library);
  const body = `
    import { load } from ${JSON.stringify(index)};
    const options = { device: 'cpu', threads: 1 };
    const work = async (weights) => {
      const model = await load(${JSON.stringify(fixtureFolder('post'))}, { ...options, weights });
      try {
        const labels = ['a', 'b'];
        const generation = model.generate({ labels, steps: 3, seed: 3, guidance: 1 });
        const { tokens, pixels } = await generation.result();
        const again = await model.tokenize(pixels);
        const logits = await model.forward({ tokens, labels });
        return [tokens, pixels, again, logits].map(({ data }) => [...data].join()).join(' ');
      } finally {
        model.dispose();
      }
    };
    const waiting = setInterval(() => {}, 1e6); // so that a promise that never settles is a timeout
    const wrong = [];
    let tried = 0;
    for (const weights of ['f32', 'int8']) {
      const expected = await work(weights);
      for (const later of ['', '+']) {
        let failed = true;
        for (let before = 0; failed; before += ${stride}) {
          delete process.env.FAILED;
          process.env.ALLOCATIONS = before + later;
          const answer = await work(weights).catch((error) => error);
          delete process.env.ALLOCATIONS;
          failed = process.env.FAILED !== undefined;
          const what = weights + ' ' + before + later;
          if (failed) ++tried;
          if (answer !== expected && !(failed && answer.code === 'ERR_OUT_OF_MEMORY')) {
            wrong.push([what, String(answer)]);
          }
          if ((await work(weights)) !== expected) wrong.push([what, 'other bits afterwards']);
        }
      }
    }
    clearInterval(waiting);
    console.log(JSON.stringify({ wrong, tried }));`;
  const { stdout, status, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', body],
    {
      encoding: 'utf8',
      timeout: 100_000,
      env: { ...process.env, LD_PRELOAD: join(folder, 'no-allocation.so') },
    },
  );
  t.equal(status, 0, stderr);
  t.equal(stderr, '');
  const { wrong, tried } = JSON.parse(stdout);
  t.same(wrong, []);
  t.ok(tried > 100, `${tried} allocations failed`);
});
