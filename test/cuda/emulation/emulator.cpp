#include "emulator.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

#include "fiber.h"
#include "sanitizers.h"

namespace emulator {

Options options;

namespace {

/// EMULATOR_DEVICE "90x4": compute capability 9.0, 4 multiprocessors. For programs that do not choose a device.
Device device_of_environment() {
  int capability = 0, multiprocessors = 0;
  const char* wanted = std::getenv("EMULATOR_DEVICE");
  if (wanted == nullptr || std::sscanf(wanted, "%dx%d", &capability, &multiprocessors) != 2) return {};
  return {capability / 10, capability % 10, multiprocessors};
}

}  // namespace

Device device = device_of_environment();
Counters counters;
Thread* current;
dim3 thread_index, block_index, block_size, grid_size;
unsigned char* shared_memory;
size_t shared_bytes;

namespace {

constexpr size_t kStack = 64 << 10, kGuardPage = 4096;
// Blocks are not ordered among each other, but what one thread of ThreadSanitizer's does is, and whatever acquires a
// tag that another released. Blocks take turns with sets of fibers and tags, so that those near each other share none.
// Nor do those of a cluster.
constexpr int kSets = kTsan ? 4 : 1, kMostBlocks = 8;

Block* sets = new Block[kMostBlocks];                     // never freed: sanitizers may look at them at exit
std::vector<Block*>& cluster = *new std::vector<Block*>;  // the blocks that run
Barrier& cluster_threads = *new Barrier;
Block* set = sets;  // this thread's
unsigned blocks_run;
void* main_stack_pointer;
[[maybe_unused]] void *main_tsan, *main_asan_stack;
[[maybe_unused]] const void* main_stack;
[[maybe_unused]] size_t main_stack_size;
const std::function<void()>* kernel;
bool kernel_waits_for_grid;
std::mt19937 random_numbers;
char launched, finished;

int threads() { return static_cast<int>(block_size.x * block_size.y * block_size.z); }

// ---- fibers

extern "C" void emulator_switch(void** save, void* to);
asm(R"(.text
.globl emulator_switch
.type emulator_switch,@function
emulator_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp,(%rdi); movq %rsi,%rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.size emulator_switch,.-emulator_switch
.section .note.GNU-stack,"",@progbits
.text)");

void to_main() {
  Fiber* fiber = self();
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(fiber->state == State::done ? nullptr : &fiber->asan_stack, main_stack,
                                 main_stack_size);
#endif
#ifdef EMULATOR_TSAN
  __tsan_switch_to_fiber(main_tsan, 1);
#endif
  emulator_switch(&fiber->stack_pointer, main_stack_pointer);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fiber->asan_stack, nullptr, nullptr);
#endif
}

void fiber_main() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &main_stack, &main_stack_size);
#endif
  Fiber* fiber = self();
  acquire(&launched);
  (*kernel)();
  if (!fiber->copies.empty() || !fiber->copy_groups.empty()) fail("ended with cp.async not waited for");
  if (!fiber->wgmmas.empty() || !fiber->wgmma_groups.empty()) fail("ended with wgmma not waited for");
  if (kernel_waits_for_grid && !fiber->waited_for_grid) fail("ended without waiting for the grid before");
  hopper_thread_ends();
  if (fiber->async_runs) {
    ActAs async(async_proxy(fiber));
    release(&finished);
  }
  release(&finished);
  fiber->state = State::done;
  if (--set->alive == 0 && set->reached) fail("a block ended while another one may still use its shared memory");
  to_main();
  std::abort();
}

void resume(Fiber* fiber) {
  current = fiber;
  set = fiber->block;
  block_index = set->index;
  shared_memory = set->shared;
  thread_index = fiber->index;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&main_asan_stack, fiber->stack, kStack);
#endif
#ifdef EMULATOR_TSAN
  __tsan_switch_to_fiber(fiber->tsan, 1);
#endif
  emulator_switch(&main_stack_pointer, fiber->stack_pointer);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(main_asan_stack, nullptr, nullptr);
#endif
  current = nullptr;
}

Fiber* new_fiber(Block& block, int i) {
  auto* fiber = new Fiber;
  fiber->block = &block;
  fiber->linear = i;
  fiber->warp = i / 32;
  fiber->lane = i % 32;
  char* memory = static_cast<char*>(
      mmap(nullptr, kStack + kGuardPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(memory, kGuardPage, PROT_NONE);
  fiber->stack = memory + kGuardPage;
#ifdef EMULATOR_TSAN
  fiber->tsan = __tsan_create_fiber(0);
#endif
  return fiber;
}

void start(Fiber* fiber) {
  const unsigned i = fiber->linear;
  fiber->index = dim3(i % block_size.x, i / block_size.x % block_size.y, i / block_size.x / block_size.y);
  fiber->state = State::ready;
  fiber->async_runs = false;
  fiber->waited_for_grid = false;
  fiber->wgmma_fenced = false;
  fiber->asan_stack = nullptr;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(fiber->stack, kStack);
#endif
  void** top = reinterpret_cast<void**>(fiber->stack + kStack);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(fiber_main);
  top -= 6;  // the registers that emulator_switch restores
  std::fill(top, top + 6, nullptr);
  fiber->stack_pointer = top;
}

[[noreturn]] void report_deadlock() {
  const char* names[] = {
      "ready", "at a block barrier", "at a cluster barrier", "in a warp collective", "at an mbarrier", "done"};
  std::map<std::pair<int, int>, int> where;
  for (const Block* block : cluster) {
    for (int i = 0; i < threads(); ++i) {
      const Fiber* fiber = block->fibers[i];
      ++where[{static_cast<int>(fiber->state), fiber->state == State::done ? 0 : fiber->line}];
    }
  }
  for (const auto& [place, count] : where) {
    std::fprintf(stderr, "  %d threads %s, line %d\n", count, names[place.first], place.second);
  }
  fail("deadlock");
}

void run_cluster() {
  std::vector<Fiber*> order;
  for (Block* block : cluster) order.insert(order.end(), block->fibers.begin(), block->fibers.begin() + threads());
  if (options.order == Order::reverse) std::reverse(order.begin(), order.end());
  const auto alive = [] {
    return std::any_of(cluster.begin(), cluster.end(), [](const Block* block) { return block->alive > 0; });
  };
  while (alive()) {
    bool any = false;
    if (options.order == Order::random) std::shuffle(order.begin(), order.end(), random_numbers);
    for (Fiber* fiber : order) {
      if (fiber->state == State::mbarrier && fiber->poll()) fiber->state = State::ready;
      if (fiber->state != State::ready) continue;
      any = true;
      resume(fiber);
    }
    if (hopper_progress(!any, random_numbers())) any = true;
    if (!any && alive()) report_deadlock();
  }
}

/// The first block of each cluster.
std::vector<dim3> clusters_in_order(dim3 grid, unsigned size) {
  std::vector<dim3> blocks;
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; x += size) blocks.emplace_back(x, y, z);
    }
  }
  if (options.order == Order::reverse) std::reverse(blocks.begin(), blocks.end());
  if (options.order == Order::random) std::shuffle(blocks.begin(), blocks.end(), random_numbers);
  return blocks;
}

}  // namespace

void fail(const char* format, ...) {
  std::fprintf(stderr, "emulator: block (%u, %u, %u), thread %d: ", block_index.x, block_index.y, block_index.z,
               current != nullptr ? current->linear : -1);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
  std::fflush(stderr);
  std::_Exit(3);
}

void yield() { to_main(); }

void block_on(State state, int line) {
  self()->state = state;
  self()->line = line;
  to_main();
}

void* emulator_identity() { return main_tsan; }

#ifdef EMULATOR_TSAN
ActAs::ActAs(void* tsan_fiber) { __tsan_switch_to_fiber(tsan_fiber, 1); }
ActAs::~ActAs() { __tsan_switch_to_fiber(current != nullptr ? self()->tsan : main_tsan, 1); }

void* async_proxy(Fiber* fiber) {
  if (fiber->async_runs) return fiber->tsan_async;
  fiber->async_runs = true;
  if (fiber->tsan_async == nullptr) {
    ActAs emulator(main_tsan);  // whoever creates an identity comes before it: not the thread
    fiber->tsan_async = __tsan_create_fiber(0);
  }
  ActAs async(fiber->tsan_async);
  acquire(&launched);
  return fiber->tsan_async;
}
#else
ActAs::ActAs(void*) {}
ActAs::~ActAs() {}
void* async_proxy(Fiber*) { return nullptr; }
#endif

namespace {

void start(Block& block, dim3 index, int count) {
  block.index = index;
  block.alive = count;
  block.reached = false;
  // Without TSan the exact size, so that AddressSanitizer sees one past the end; with it fresh memory.
  void* memory = nullptr;
  if (kTsan) {
    memory = mmap(nullptr, shared_bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  } else if (posix_memalign(&memory, 1024, shared_bytes) != 0) {
    fail("no memory for the block's shared memory");
  }
  block.shared = static_cast<unsigned char*>(memory);
  raw_fill(block.shared, 0xff, shared_bytes);  // NaN
  for (Barrier& barrier : block.barriers) barrier = Barrier();
  std::fill(std::begin(block.wgmma_calls), std::end(block.wgmma_calls), 0);
  while (static_cast<int>(block.fibers.size()) < count) {
    block.fibers.push_back(new_fiber(block, static_cast<int>(block.fibers.size())));
  }
  for (int i = 0; i < count; ++i) start(block.fibers[i]);
}

void end(Block& block) {
  if (kTsan) {
    munmap(block.shared, shared_bytes + 1);
  } else {
    std::free(block.shared);
  }
  block.shared = nullptr;
}

}  // namespace

void run_grid(dim3 grid, dim3 block, int cluster_size, size_t shared, bool waits_for_grid,
              const std::function<void()>& body) {
  const int count = static_cast<int>(block.x * block.y * block.z);
  random_numbers.seed(options.seed);
  kernel = &body;
  kernel_waits_for_grid = waits_for_grid;
  grid_size = grid;
  block_size = block;
  shared_bytes = shared;
#ifdef EMULATOR_TSAN
  main_tsan = __tsan_get_current_fiber();
#endif
  ++counters.launches;
  for (const dim3& first : clusters_in_order(grid, cluster_size)) {
    cluster.clear();
    hopper_cluster_starts();
    cluster_threads = Barrier();
    for (int i = 0; i < cluster_size; ++i) {
      cluster.push_back(&sets[blocks_run++ % std::max(kSets, cluster_size)]);
      start(*cluster.back(), dim3(first.x + i, first.y, first.z), count);
    }
    release(&launched);
    run_cluster();
    hopper_cluster_ends(cluster);
    for (Block* own : cluster) end(*own);
    shared_memory = nullptr;
  }
  acquire(&finished);
}

// ---- barriers

namespace {

bool arrive(int id, int count) {
  Barrier& barrier = set->barriers[id];
  const int needed = count > 0 ? count : threads();
  if (barrier.arrived > 0 && barrier.needed != needed) {
    fail("barrier %d: %d and %d threads expected", id, barrier.needed, needed);
  }
  barrier.needed = needed;
  release(&barrier.tags[barrier.generation & 1]);
  if (++barrier.arrived < needed) return false;
  barrier.arrived = 0;
  ++barrier.generation;
  for (int i = 0; i < threads(); ++i) {
    if (set->fibers[i]->state == State::block_barrier && set->fibers[i]->operation == id)
      set->fibers[i]->state = State::ready;
  }
  return true;
}

}  // namespace

void block_barrier(int id, int count, int line) {
  const unsigned generation = set->barriers[id].generation;
  self()->operation = id;
  if (arrive(id, count)) {
    yield();
  } else {
    block_on(State::block_barrier, line);
  }
  acquire(&set->barriers[id].tags[generation & 1]);
}

void cluster_barrier(int line) {
  Barrier& barrier = cluster_threads;
  char* tag = &barrier.tags[barrier.generation & 1];
  release(tag);
  if (++barrier.arrived < threads() * static_cast<int>(cluster.size())) {
    block_on(State::cluster_barrier, line);
  } else {
    barrier.arrived = 0;
    ++barrier.generation;
    for (Block* block : cluster) {
      block->reached = false;
      for (Fiber* fiber : block->fibers) {
        if (fiber->state == State::cluster_barrier) fiber->state = State::ready;
      }
    }
    yield();
  }
  acquire(tag);
}

unsigned char* in_block(const void* own, int rank, size_t bytes, int line) {
  check_shared(own, bytes, bytes, line, "an access of another block");
  if (rank < 0 || rank >= static_cast<int>(cluster.size())) fail("line %d: no block %d in the cluster", line, rank);
  Block& other = *cluster[rank];
  if (other.alive == 0) fail("line %d: block %d of the cluster has ended", line, rank);
  if (&other != set) other.reached = true;
  return other.shared + (static_cast<const unsigned char*>(own) - shared_memory);
}

void load_of_block(void* value, const void* own, int rank, size_t bytes, int line) {
  const unsigned char* from = in_block(own, rank, bytes, line);
  saw_read(from, bytes);
  raw_copy(value, from, bytes);
}

void wait_for_previous_grid() { self()->waited_for_grid = true; }

// ---- warp collectives

void collective(int operation, unsigned mask, void* argument, int line, bool aligned,
                const std::function<void(void**)>& work) {
  Fiber* fiber = self();
  Fiber** warp = &set->fibers[fiber->warp * 32];
  const int lanes = std::min(32, threads() - fiber->warp * 32);
  if (lanes < 32) mask &= (1u << lanes) - 1;
  if ((mask >> fiber->lane & 1) == 0) fail("line %d: lane %d is not in its own mask %08x", line, fiber->lane, mask);
  fiber->operation = operation;
  fiber->mask = mask;
  fiber->argument = argument;
  fiber->line = line;
  for (int step = 1; step < 32; ++step) {
    const int i = (fiber->lane + step) % 32;  // most often the next lane has not come yet, and that is all to know
    if ((mask >> i & 1) == 0) continue;
    const Fiber* other = warp[i];
    if (other->state == State::done) fail("line %d: lane %d named in the mask has ended", line, i);
    if (other->state == State::block_barrier) {
      fail("line %d: lane %d waits at a block barrier (line %d)", line, i, other->line);
    }
    if (other->state != State::warp_collective) return block_on(State::warp_collective, line);
    if (other->operation != operation || other->mask != mask || (aligned && other->line != line)) {
      fail("a warp disagrees: lane %d at line %d (mask %08x), lane %d at line %d (mask %08x)", fiber->lane, line, mask,
           i, other->line, other->mask);
    }
  }
  void* arguments[32];
  for (int i = 0; i < 32; ++i) arguments[i] = (mask >> i & 1) ? warp[i]->argument : nullptr;
  work(arguments);
  for (int i = 0; i < 32; ++i) {
    if ((mask >> i & 1) && i != fiber->lane) warp[i]->state = State::ready;
  }
}

namespace {

enum Operation { kWarpBarrier = 1, kShuffle, kBallot = 8, kMma, kLdmatrix, kLdmatrixTransposed, kStmatrix };

struct Exchange {
  uint64_t value, result;
  int source;
};

}  // namespace

void warp_barrier(unsigned mask, int line) {
  WarpBarrier& barrier = set->warp_barriers[self()->warp];
  char* tag = &barrier.tags[barrier.generation & 1];
  release(tag);
  collective(kWarpBarrier, mask, nullptr, line, false, [&](void**) { ++barrier.generation; });
  acquire(tag);
}

uint64_t shuffle(unsigned mask, uint64_t value, int argument, Shuffle mode, int line) {
  const int lane = self()->lane;
  int source = lane;
  if (mode == Shuffle::up && lane - argument >= 0) source = lane - argument;
  if (mode == Shuffle::butterfly) source = lane ^ argument;
  if ((mask >> source & 1) == 0) fail("line %d: a shuffle reads lane %d, not in its mask %08x", line, source, mask);
  Exchange exchange{value, 0, source};
  collective(kShuffle + static_cast<int>(mode), mask, &exchange, line, false, [](void** lanes) {
    for (int i = 0; i < 32; ++i) {
      if (lanes[i] == nullptr) continue;
      auto* one = static_cast<Exchange*>(lanes[i]);
      one->result = static_cast<Exchange*>(lanes[one->source])->value;
    }
  });
  return exchange.result;
}

uint32_t ballot(unsigned mask, bool predicate, int line) {
  Exchange exchange{predicate, 0, 0};
  collective(kBallot, mask, &exchange, line, false, [](void** lanes) {
    uint32_t votes = 0;
    for (int i = 0; i < 32; ++i) {
      if (lanes[i] != nullptr && static_cast<Exchange*>(lanes[i])->value) votes |= 1u << i;
    }
    for (int i = 0; i < 32; ++i) {
      if (lanes[i] != nullptr) static_cast<Exchange*>(lanes[i])->result = votes;
    }
  });
  return static_cast<uint32_t>(exchange.result);
}

// ---- tensor cores

uint16_t from_float(float value, Element element) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (element == Element::bf16) {
    if (magnitude > 0x7f800000) return 0x7fff;
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
  if (magnitude > 0x7f800000) return 0x7fff;
  const float absolute = std::abs(value);
  if (absolute >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00);
  if (absolute == 0) return static_cast<uint16_t>(sign);
  int exponent = 0;
  std::frexp(absolute, &exponent);                   // absolute = m 2^exponent, m in [0.5, 1)
  const int step = std::max(exponent - 11, -24);     // the value of the last bit is 2^step
  const float scaled = std::ldexp(absolute, -step);  // rounds to nearest even below
  const auto rounded = static_cast<uint32_t>(std::nearbyint(scaled));
  // Normal numbers have their leading bit at 1024; a carry goes into the exponent by itself.
  return static_cast<uint16_t>(sign | (step == -24 ? rounded : ((step + 25) << 10) + (rounded - 1024)));
}

namespace {

struct MmaArguments {
  float* d;
  const uint32_t *a, *b;
};

struct LdmatrixArguments {
  uint32_t* registers;
  uint16_t row[8];
  unsigned bank;
};

struct StmatrixArguments {
  const uint32_t* registers;
  uint16_t row[8];  // what comes back: this lane's, to be written
  unsigned bank;
};

unsigned bank_of(const void* row) {
  return static_cast<unsigned>((static_cast<const unsigned char*>(row) - shared_memory) / 16 % 8);
}

/// How often the rows of the matrices, of eight lanes each, meet in a bank of 16 bytes.
template <class Arguments>
void count_conflicts(void** lanes, int matrices) {
  for (int matrix = 0; matrix < matrices; ++matrix) {
    int used[8] = {}, most = 0;
    for (int i = 0; i < 8; ++i) {
      most = std::max(most, ++used[static_cast<Arguments*>(lanes[matrix * 8 + i])->bank]);
    }
    counters.bank_conflicts += most - 1;
  }
}

}  // namespace

namespace {

// Fragments as in the PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".
template <Element element>
void multiply(void** lanes) {
  ++counters.mma;
  float A[16][16], B[16][8], D[16][8] = {};
  const auto half = [](uint32_t word, int i) { return to_float(static_cast<uint16_t>(word >> (16 * i)), element); };
  for (int lane = 0; lane < 32; ++lane) {
    const auto* own = static_cast<MmaArguments*>(lanes[lane]);
    const int group = lane / 4, thread = lane % 4;
    for (int i = 0; i < 8; ++i) {
      A[group + (i / 2 % 2) * 8][thread * 2 + i % 2 + (i / 4) * 8] = half(own->a[i / 2], i % 2);
    }
    for (int i = 0; i < 4; ++i) B[thread * 2 + i % 2 + (i / 2) * 8][group] = half(own->b[i / 2], i % 2);
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 8; ++column) D[row][column] += A[row][k] * B[k][column];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    float* own = static_cast<MmaArguments*>(lanes[lane])->d;
    for (int i = 0; i < 4; ++i) own[i] += D[lane / 4 + (i / 2) * 8][lane % 4 * 2 + i % 2];
  }
}

}  // namespace

void mma_m16n8k16(float* d, const uint32_t* a, const uint32_t* b, Element element, int line) {
  MmaArguments arguments{d, a, b};
  const bool bf16 = element == Element::bf16;
  collective(kMma, ~0u, &arguments, line, true, bf16 ? multiply<Element::bf16> : multiply<Element::f16>);
}

void check_shared(const void* at, size_t bytes, size_t alignment, int line, const char* what) {
  const size_t offset = static_cast<const unsigned char*>(at) - shared_memory;
  if (offset > shared_bytes || offset + bytes > shared_bytes) {
    fail("line %d: %s outside shared memory (offset %ld of %zu)", line, what, static_cast<long>(offset), shared_bytes);
  }
  if (offset % alignment != 0) fail("line %d: %s not aligned to %zu (offset %zu)", line, what, alignment, offset);
}

void ldmatrix_x4(uint32_t* registers, bool transposed, const void* row, int line) {
  LdmatrixArguments arguments{registers, {}, 0};
  check_shared(row, 16, 16, line, "ldmatrix row");
  saw_read(row, 16);
  raw_copy(arguments.row, row, 16);
  arguments.bank = bank_of(row);
  collective(transposed ? kLdmatrixTransposed : kLdmatrix, ~0u, &arguments, line, true, [transposed](void** lanes) {
    const auto at = [&](int lane) { return static_cast<LdmatrixArguments*>(lanes[lane]); };
    count_conflicts<LdmatrixArguments>(lanes, 4);
    for (int matrix = 0; matrix < 4; ++matrix) {
      ++counters.ldmatrix;
      for (int lane = 0; lane < 32; ++lane) {
        uint16_t low, high;
        if (transposed) {
          low = at(matrix * 8 + lane % 4 * 2)->row[lane / 4];
          high = at(matrix * 8 + lane % 4 * 2 + 1)->row[lane / 4];
        } else {
          low = at(matrix * 8 + lane / 4)->row[lane % 4 * 2];
          high = at(matrix * 8 + lane / 4)->row[lane % 4 * 2 + 1];
        }
        at(lane)->registers[matrix] = low | uint32_t{high} << 16;
      }
    }
  });
}

void stmatrix(void* row, const uint32_t* registers, int matrices, bool transposed, int line) {
  const bool addresses = self()->lane < 8 * matrices;
  StmatrixArguments arguments{registers, {}, addresses ? bank_of(row) : 0};
  if (addresses) check_shared(row, 16, 16, line, "stmatrix row");
  collective(kStmatrix + matrices + (transposed ? 1 : 0), ~0u, &arguments, line, true, [=](void** lanes) {
    count_conflicts<StmatrixArguments>(lanes, matrices);
    for (int matrix = 0; matrix < matrices; ++matrix) {
      ++counters.stmatrix;
      for (int lane = 0; lane < 32; ++lane) {
        const uint32_t pair = static_cast<StmatrixArguments*>(lanes[lane])->registers[matrix];
        for (int i = 0; i < 2; ++i) {
          const int along = lane % 4 * 2 + i, down = lane / 4;
          auto* to = static_cast<StmatrixArguments*>(lanes[matrix * 8 + (transposed ? along : down)]);
          to->row[transposed ? down : along] = static_cast<uint16_t>(pair >> 16 * i);
        }
      }
    }
  });
  if (!addresses) return;
  saw_write(row, 16);
  raw_copy(row, arguments.row, 16);
}

// ---- cp.async

namespace {

void land(const Copy& copy) {
  saw_write(copy.target, 16);
  if (copy.source_bytes > 0) {
    saw_read(copy.source, copy.source_bytes);
#ifdef __SANITIZE_ADDRESS__
    if (__asan_region_is_poisoned(const_cast<void*>(copy.source), copy.source_bytes) != nullptr) {
      fail("cp.async reads outside an allocation");
    }
#endif
    raw_copy(copy.target, copy.source, copy.source_bytes);
  }
  raw_fill(static_cast<char*>(copy.target) + copy.source_bytes, 0, 16 - copy.source_bytes);
}

}  // namespace

void copy_async(void* target, const void* source, int source_bytes, int line) {
  check_shared(target, 16, 16, line, "cp.async target");
  if (reinterpret_cast<uintptr_t>(source) % 16 != 0) fail("line %d: cp.async source not aligned to 16", line);
  if (source_bytes < 0 || source_bytes > 16) fail("line %d: cp.async of %d bytes", line, source_bytes);
  const Copy copy{target, source, source_bytes};
  if (!options.lazy) return land(copy);
  saw_write(target, 16);
  raw_fill(target, 0xff, 16);
  self()->copies.push_back(copy);
}

void copy_async_commit() {
  self()->copy_groups.push_back(std::move(self()->copies));
  self()->copies.clear();
}

void copy_async_wait(int groups) {
  auto& pending = self()->copy_groups;
  while (static_cast<int>(pending.size()) > groups) {
    for (const Copy& copy : pending.front()) land(copy);
    pending.erase(pending.begin());
  }
}

}  // namespace emulator
