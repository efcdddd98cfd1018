// sm_90: mbarriers, TMA and wgmma. Each thread has a second identity under ThreadSanitizer, its async proxy: wgmma
// reads shared memory, and TMA reads and writes it, under that name. The async proxy learns of ordinary stores through
// fence.proxy.async alone, and of TMA's through the mbarrier that counts their bytes.
#include <algorithm>
#include <map>

#include "fiber.h"
#include "sanitizers.h"

namespace emulator {

namespace {

struct MBarrier {
  int count, pending;
  long bytes;
  unsigned phase;
  char tags[2];
};

std::map<uint64_t*, MBarrier>& mbarriers = *new std::map<uint64_t*, MBarrier>;
std::vector<std::function<void()>>& in_flight = *new std::vector<std::function<void()>>;  // TMA loads
char fenced;

constexpr int kWgmmaOperation = 32, kRegisterWgmmaOperation = 33;
constexpr int kBoxBytes = 128;

MBarrier& mbarrier_at(uint64_t* at, int line) {
  const auto found = mbarriers.find(at);
  if (found == mbarriers.end()) fail("line %d: an mbarrier used before its init", line);
  return found->second;
}

void complete_phase(MBarrier& barrier) {
  if (barrier.pending > 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.pending = barrier.count;
}

/// 128-byte swizzle: bits 4-6 of an address are xored with bits 7-9.
size_t swizzled(size_t offset) { return offset ^ (offset >> 3 & 0x70); }

/// Where element (row, k) of an operand lies: lines of 128 bytes, in groups of eight that are `stride` apart. K-major:
/// a line is a row; N-major: a line is a k, of 64 rows.
size_t operand_offset(uint64_t descriptor, int row, int k, bool n_major = false) {
  const size_t start = (descriptor & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
  const size_t line = n_major ? k : row, element = n_major ? row : k;
  const size_t offset = swizzled(start + line / 8 * stride + line % 8 * 128 + element * 2);
  if (offset + 2 > shared_bytes)
    fail("a wgmma operand outside shared memory (offset %zu of %zu)", offset, shared_bytes);
  return offset;
}

void saw_operands(const Fiber& fiber, const Wgmma& wgmma) {
  if (wgmma.of_registers) {  // a warp reads all of B: a lane, the half of a line
    for (int i = 0; i < 4; ++i) {
      const int row = fiber.lane % 2 * 32 + i * 8;
      saw_read(shared_memory + operand_offset(wgmma.descriptor_b, row, fiber.lane / 2, true), 16);
    }
    return;
  }
  const int row = fiber.linear % 128 / 32 * 16 + fiber.lane / 4;
  for (int k = 0; k < 16; k += 8) {
    saw_read(shared_memory + operand_offset(wgmma.descriptor_a, row, k), 16);
    saw_read(shared_memory + operand_offset(wgmma.descriptor_a, row + 8, k), 16);
    for (int column = 0; column < wgmma.columns; column += 8) {
      for (int i = 0; i < 2; ++i) {
        saw_read(shared_memory + operand_offset(wgmma.descriptor_b, column + fiber.lane % 4 * 2 + i, k), 16);
      }
    }
  }
}

/// This thread's part of D += A Bᵀ (PTX ISA, "Register Fragments for wgmma.mma_async.m64nNk16").
void multiply(Fiber* fiber, const Wgmma& wgmma) {
  if (kTsan) {
    saw_operands(*fiber, wgmma);  // as the thread: is there a barrier?
    ActAs async(async_proxy(fiber));
    acquire(&fenced);
    saw_operands(*fiber, wgmma);  // as its async proxy: was it fenced, or TMA's?
  }
  if (!wgmma.before.empty()) raw_copy(wgmma.d, wgmma.before.data(), wgmma.before.size() * sizeof(float));
  // Elements (row, 0 .. 16); eight of them lie together where the operand is K-major.
  const auto read_row = [&](uint64_t descriptor, int row, bool n_major, float* values) {
    uint16_t bits[16];
    const int together = n_major ? 1 : 8;
    for (int k = 0; k < 16; k += together) {
      raw_copy(bits + k, shared_memory + operand_offset(descriptor, row, k, n_major), 2 * together);
    }
    for (int k = 0; k < 16; ++k) values[k] = to_float(bits[k], wgmma.element);
  };
  const int row = fiber->linear % 128 / 32 * 16 + fiber->lane / 4;
  float a[2][16];
  for (int half = 0; half < 2; ++half) {
    if (!wgmma.of_registers) read_row(wgmma.descriptor_a, row + half * 8, false, a[half]);
    for (int k = 0; k < 16 && wgmma.of_registers; ++k) a[half][k] = to_float(wgmma.a[half][k], wgmma.element);
  }
  for (int first = 0; first < wgmma.columns; first += 8) {
    for (int i = 0; i < 2; ++i) {
      const int column = first + fiber->lane % 4 * 2 + i;
      float sums[2] = {}, b[16];
      read_row(wgmma.descriptor_b, column, wgmma.of_registers, b);
      for (int k = 0; k < 16; ++k) {
        for (int half = 0; half < 2; ++half) sums[half] += a[half][k] * b[k];
      }
      for (int half = 0; half < 2; ++half) {
        float& d = wgmma.d[first / 2 + half * 2 + i];
        d = (wgmma.accumulate ? d : 0) + sums[half];
      }
    }
  }
}

/// Nobody may look at the accumulators until the wait.
void hide(Wgmma& wgmma) {
  wgmma.before.assign(wgmma.d, wgmma.d + wgmma.columns / 2);
  raw_fill(wgmma.d, 0xff, wgmma.columns / 2 * sizeof(float));
}

/// Hides the accumulators `d` on behalf of the first wgmma of `groups` that uses them.
void hide_next_use(std::vector<std::vector<Wgmma>>& groups, const float* d) {
  for (auto& group : groups) {
    for (Wgmma& wgmma : group) {
      if (d == nullptr || wgmma.d != d) continue;
      if (wgmma.before.empty()) hide(wgmma);
      return;
    }
  }
}

}  // namespace

void hopper_cluster_starts() { mbarriers.clear(); }

namespace {

void arrive(const Store& store) {
  ActAs async(async_proxy(self()));
  for (int r = 0; r < static_cast<int>(store.map.box_rows); ++r) {
    const long y = store.row + r, x = store.column, left = static_cast<long>(store.map.columns) - x;
    if (y < 0 || y >= static_cast<long>(store.map.rows) || left <= 0) continue;
    unsigned char* to = const_cast<unsigned char*>(store.map.base) + y * store.map.stride + x * 2;
    const size_t bytes = std::min<long>(kBoxBytes, left * 2);
    saw_write(to, bytes);
    raw_copy(to, store.box.data() + r * kBoxBytes, bytes);
  }
}

void read(Store& store) {
  ActAs async(async_proxy(self()));
  const size_t base = static_cast<const unsigned char*>(store.source) - shared_memory;
  store.read = true;
  for (size_t at = 0; at < store.box.size(); at += 16) {
    const unsigned char* from = shared_memory + swizzled(base + at);
    saw_read(from, 16);
    raw_copy(store.box.data() + at, from, 16);
  }
}

}  // namespace

void hopper_thread_ends() {
  auto& groups = self()->store_groups;
  if (!self()->stores.empty()) fail("ended with a TMA store not committed");
  for (const auto& group : groups) {
    for (const Store& store : group) {
      if (!store.read) fail("ended with a TMA store that may still read shared memory");
      arrive(store);
    }
  }
  groups.clear();
}

void hopper_cluster_ends(const std::vector<Block*>& blocks) {
  if (!in_flight.empty()) fail("a block ended with a TMA load under way");
  for (const Block* block : blocks) {
    for (int warp = 0; warp < kMostThreads / 32; ++warp) {
      const unsigned own = block->wgmma_calls[warp], of_first = block->wgmma_calls[warp / 4 * 4];
      if (own != of_first) {
        fail("warp %d took part in %u wgmma, the first warp of its group in %u", warp, own, of_first);
      }
    }
  }
}

bool hopper_progress(bool nothing_else, unsigned random) {
  if (in_flight.empty()) return false;
  if (!nothing_else && !(options.order == Order::random && random % 4 == 0)) return false;
  size_t i = 0;
  if (options.order == Order::random) i = random / 4 % in_flight.size();
  if (options.order == Order::reverse) i = in_flight.size() - 1;
  const auto load = std::move(in_flight[i]);
  in_flight.erase(in_flight.begin() + static_cast<long>(i));
  load();
  return true;
}

void mbarrier_init(uint64_t* at, int count, int line) {
  check_shared(at, 8, 8, line, "mbarrier");
  saw_write(at, 8);
  const uint64_t zero = 0;
  raw_copy(at, &zero, 8);
  ActAs emulator(emulator_identity());  // the map is the emulator's, its memory outlives the thread
  mbarriers[at] = {count, count, 0, 0, {}};
}

void mbarrier_arrive(uint64_t* own, int rank, int expected_bytes, int line) {
  check_shared(own, 8, 8, line, "mbarrier");
  auto* at = rank < 0 ? own : reinterpret_cast<uint64_t*>(in_block(own, rank, 8, line));
  MBarrier& barrier = mbarrier_at(at, line);
  saw_read(at, 8);
  if (barrier.pending == 0) fail("line %d: more arrivals than the mbarrier's count", line);
  release(&barrier.tags[barrier.phase & 1]);
  barrier.bytes += expected_bytes;
  --barrier.pending;
  complete_phase(barrier);
}

void mbarrier_wait(uint64_t* at, int parity, int line) {
  check_shared(at, 8, 8, line, "mbarrier");
  MBarrier* barrier = &mbarrier_at(at, line);
  saw_read(at, 8);
  const auto passed = [barrier, parity] { return static_cast<int>(barrier->phase & 1) != parity; };
  if (passed()) {
    yield();
  } else {
    self()->poll = passed;
    block_on(State::mbarrier, line);
  }
  acquire(&barrier->tags[parity]);
  ActAs async(async_proxy(self()));
  acquire(&barrier->tags[parity]);
}

void proxy_fence() { release(&fenced); }

void tma_load(void* target, const TensorMap* pointer, uint64_t* at, int column, int row, int matrix, int line) {
  const TensorMap map = *pointer;
  if (map.dimensions != (matrix < 0 ? 2 : 3)) fail("line %d: a map of %d dimensions", line, map.dimensions);
  const int total = kBoxBytes * static_cast<int>(map.box_rows);
  if (map.box_columns * 2 != kBoxBytes) fail("line %d: a TMA box of %u columns", line, map.box_columns);
  check_shared(target, total, 1024, line, "TMA target");
  check_shared(at, 8, 8, line, "mbarrier");
  MBarrier* barrier = &mbarrier_at(at, line);
  Fiber* fiber = self();
  ++counters.tma_loads;
  unsigned char* const memory = shared_memory;
  const auto load = [=] {
    ActAs async(async_proxy(fiber));
    const size_t base = static_cast<unsigned char*>(target) - memory;
    for (int r = 0; r < static_cast<int>(map.box_rows); ++r) {
      for (int chunk = 0; chunk < kBoxBytes; chunk += 16) {
        const long y = row + r, x = column + chunk / 2;
        unsigned char values[16] = {};  // outside the matrix: zeros
        const bool inside = y >= 0 && y < static_cast<long>(map.rows) && x >= 0 && x < static_cast<long>(map.columns) &&
                            matrix < static_cast<long>(map.matrices);
        if (inside) {
          const long bytes = std::min<long>(16, (static_cast<long>(map.columns) - x) * 2);
          const unsigned char* source = map.base + std::max(matrix, 0) * map.matrix_stride + y * map.stride + x * 2;
          saw_read(source, bytes);
          raw_copy(values, source, bytes);
        }
        unsigned char* to = memory + swizzled(base + static_cast<size_t>(r) * kBoxBytes + chunk);
        saw_write(to, 16);
        raw_copy(to, values, 16);
      }
    }
    release(&barrier->tags[barrier->phase & 1]);
    barrier->bytes -= total;
    complete_phase(*barrier);
  };
  if (!options.lazy) return load();
  {
    ActAs async(async_proxy(fiber));
    saw_write(target, total);
    raw_fill(target, 0xff, total);
  }
  ActAs emulator(emulator_identity());
  in_flight.push_back(load);
}

void tma_store(const TensorMap* pointer, const void* source, int column, int row, int line) {
  const TensorMap map = *pointer;
  const int total = kBoxBytes * static_cast<int>(map.box_rows);
  if (map.dimensions != 2) fail("line %d: a map of %d dimensions", line, map.dimensions);
  if (map.box_columns * 2 != kBoxBytes) fail("line %d: a TMA box of %u columns", line, map.box_columns);
  if (column < 0) fail("line %d: a TMA store at column %d", line, column);
  check_shared(source, total, 1024, line, "TMA source");
  ++counters.tma_stores;
  Store store{map, source, column, row, std::vector<unsigned char>(total)};
  saw_read(source, total);  // as the thread: is there a barrier?
  {
    ActAs async(async_proxy(self()));
    acquire(&fenced);
    saw_read(source, total);  // as its async proxy: was it fenced?
  }
  if (!options.lazy) {
    read(store);
    arrive(store);
  }
  self()->stores.push_back(std::move(store));
}

void tma_store_commit() {
  self()->store_groups.push_back(std::move(self()->stores));
  self()->stores.clear();
}

void tma_store_wait(int groups, bool only_read) {
  Fiber* fiber = self();
  auto& pending = fiber->store_groups;
  const int done = static_cast<int>(pending.size()) - groups;
  for (int i = 0; i < done; ++i) {
    for (Store& store : pending[i]) {
      if (!store.read) read(store);
      if (!only_read) arrive(store);
    }
  }
  if (!only_read && done > 0) pending.erase(pending.begin(), pending.begin() + done);
  {
    ActAs async(async_proxy(fiber));
    release(&fiber->waited_tag);
  }
  acquire(&fiber->waited_tag);  // the reads that were waited for are over
}

namespace {

/// Of one more wgmma, by the thread that is about to ask for it.
void count_wgmma(uint64_t descriptor_a, uint64_t descriptor_b, int line) {
  const Fiber* fiber = self();
  if (fiber->linear % 128 == 0) ++counters.wgmma;
  if (fiber->lane == 0) ++fiber->block->wgmma_calls[fiber->warp];
  if (!fiber->wgmma_fenced) fail("line %d: the first wgmma of a group without wgmma_fence before it", line);
  if (descriptor_a >> 62 != 1 || descriptor_b >> 62 != 1) fail("line %d: a swizzle other than 128 bytes", line);
}

/// Its accumulators are nobody's until the wait; or it is done at once.
void issue(Wgmma one) {
  Fiber* fiber = self();
  if (!options.lazy) {
    multiply(fiber, one);
    one.d = nullptr;  // done
  } else {
    const auto same = [&one](const Wgmma& other) { return other.d == one.d; };
    bool pending = std::any_of(fiber->wgmmas.begin(), fiber->wgmmas.end(), same);
    for (const auto& group : fiber->wgmma_groups) pending |= std::any_of(group.begin(), group.end(), same);
    if (!pending) hide(one);
  }
  fiber->wgmmas.push_back(std::move(one));
}

struct RegisterOperands {
  const uint32_t* a;
  uint64_t descriptor_b;
  uint16_t rows[2][16];  // what comes back: this lane's two rows of A
};

}  // namespace

void wgmma_of_registers(float* d, int columns, const uint32_t* a, uint64_t descriptor_b, bool accumulate,
                        Element element, int line) {
  count_wgmma(descriptor_b, descriptor_b, line);
  RegisterOperands operands{a, descriptor_b, {}};
  collective(kRegisterWgmmaOperation, ~0u, &operands, line, true, [line](void** lanes) {
    const auto at = [&](int lane) { return static_cast<RegisterOperands*>(lanes[lane]); };
    for (int lane = 0; lane < 32; ++lane) {
      if (at(lane)->descriptor_b != at(0)->descriptor_b) fail("line %d: wgmma descriptors differ within a warp", line);
      for (int i = 0; i < 16; ++i) {  // a row is held by four lanes, two neighbours of its low half, two of its high
        const uint32_t* of_lane = at(lane / 4 * 4 + i % 8 / 2)->a + i / 8 * 2;
        for (int half = 0; half < 2; ++half) {
          at(lane)->rows[half][i] = static_cast<uint16_t>(of_lane[half] >> 16 * (i % 2));
        }
      }
    }
  });
  Wgmma one{d, columns, true, 0, {}, descriptor_b, accumulate, element, {}};
  std::copy(&operands.rows[0][0], &operands.rows[0][0] + 32, &one.a[0][0]);
  issue(std::move(one));
}

void wgmma(float* d, int columns, uint64_t descriptor_a, uint64_t descriptor_b, bool accumulate, Element element,
           int line) {
  count_wgmma(descriptor_a, descriptor_b, line);
  uint64_t descriptors[2] = {descriptor_a, descriptor_b};
  collective(kWgmmaOperation, ~0u, descriptors, line, true, [line](void** lanes) {
    const auto* first = static_cast<uint64_t*>(lanes[0]);
    for (int i = 1; i < 32; ++i) {
      const auto* own = static_cast<uint64_t*>(lanes[i]);
      if (own[0] != first[0] || own[1] != first[1]) fail("line %d: wgmma descriptors differ within a warp", line);
    }
  });
  issue({d, columns, false, descriptor_a, {}, descriptor_b, accumulate, element, {}});
}

/// Between groups registers are the thread's own: what it does with them, and the next wgmma, are ordered by a fence.
void wgmma_fence() { self()->wgmma_fenced = true; }

void wgmma_commit() {
  self()->wgmma_fenced = false;
  self()->wgmma_groups.push_back(std::move(self()->wgmmas));
  self()->wgmmas.clear();
}

void wgmma_wait(int groups) {
  Fiber* fiber = self();
  auto& pending = fiber->wgmma_groups;
  while (static_cast<int>(pending.size()) > groups) {
    const std::vector<Wgmma> done = std::move(pending.front());
    pending.erase(pending.begin());
    for (const Wgmma& wgmma : done) {
      if (wgmma.d != nullptr) multiply(fiber, wgmma);
    }
    // Accumulators that a later group goes on with are hidden again.
    for (const Wgmma& wgmma : done) hide_next_use(pending, wgmma.d);
  }
  {
    ActAs async(async_proxy(fiber));
    release(&fiber->waited_tag);
  }
  acquire(&fiber->waited_tag);  // the reads that were waited for are over
}

}  // namespace emulator
