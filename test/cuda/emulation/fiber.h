// The emulator's inside: a CUDA thread as a fiber, and what emulator.cpp and hopper.cpp share.
#pragma once

#include <functional>
#include <vector>

#include "emulator.h"

namespace emulator {

enum class State { ready, block_barrier, cluster_barrier, warp_collective, mbarrier, done };

struct Copy {
  void* target;
  const void* source;
  int source_bytes;
};

struct Wgmma {
  float* d;
  int columns;
  bool of_registers;
  uint64_t descriptor_a;  // or, of registers:
  uint16_t a[2][16];      // the two rows of A that are this thread's
  uint64_t descriptor_b;
  bool accumulate;
  Element element;
  std::vector<float> before;  // d, where it was hidden from the thread
};

/// A box on its way to device memory.
struct Store {
  TensorMap map;
  const void* source;
  int column, row;
  std::vector<unsigned char> box;  // its rows, not swizzled
  bool read = false;
};

struct Block;

struct Fiber : Thread {
  Block* block = nullptr;
  dim3 index = {0, 0, 0};  // threadIdx
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  void* tsan = nullptr;        // TSan's identity of the thread
  void* tsan_async = nullptr;  // and of its async proxy, once it has needed one: see async_proxy
  bool async_runs = false;     // it has needed one since it started
  void* asan_stack = nullptr;
  State state = State::done;
  int line = 0;       // where it waits
  int operation = 0;  // the collective, or the barrier, that it waits in
  unsigned mask = 0;
  void* argument = nullptr;
  bool waited_for_grid = false;
  std::function<bool()> poll;  // of an mbarrier
  std::vector<Copy> copies;    // not committed yet
  std::vector<std::vector<Copy>> copy_groups;
  std::vector<Wgmma> wgmmas;
  std::vector<std::vector<Wgmma>> wgmma_groups;
  bool wgmma_fenced = false;  // since the last group was committed
  std::vector<Store> stores;  // not committed yet
  std::vector<std::vector<Store>> store_groups;
  char waited_tag = 0;  // its async proxy's reads are over
};

inline Fiber* self() { return static_cast<Fiber*>(current); }

struct Barrier {
  int arrived = 0, needed = 0;
  unsigned generation = 0;
  char tags[2];
};

struct WarpBarrier {
  unsigned generation = 0;
  char tags[2];
};

constexpr int kMostThreads = 1024;

/// A block that runs, beside the others of its cluster.
struct Block {
  dim3 index;
  unsigned char* shared = nullptr;
  int alive = 0;         // threads that have not ended
  bool reached = false;  // another block has used its shared memory since the last cluster barrier
  std::vector<Fiber*> fibers;
  Barrier barriers[16];
  WarpBarrier warp_barriers[kMostThreads / 32];
  unsigned wgmma_calls[kMostThreads / 32];  // of each warp
};

/// Lets others run until somebody makes this thread ready again (or, with a poll, until that holds).
void block_on(State state, int line);
void yield();
void check_shared(const void* at, size_t bytes, size_t alignment, int line, const char* what);

/// The lanes of `mask` meet; the last to arrive does `work` on everyone's arguments ([32], null for the absent).
/// `aligned`: all must come from the same line.
void collective(int operation, unsigned mask, void* argument, int line, bool aligned,
                const std::function<void(void**)>& work);

// hopper.cpp's part of a cluster, which is one block where a launch asks for none.
void hopper_cluster_starts();
void hopper_cluster_ends(const std::vector<Block*>& blocks);
/// What a thread's TMA stores have read arrives now at the latest.
void hopper_thread_ends();
/// Lets one TMA load land, if one is under way and (unless nothing else can run) chance wants it.
bool hopper_progress(bool nothing_else, unsigned random);

/// Makes accesses count as those of the thread's async proxy, or of the emulator, for as long as it lives.
class ActAs {
 public:
  explicit ActAs(void* tsan_fiber);
  ~ActAs();
  ActAs(const ActAs&) = delete;
};
void* emulator_identity();

/// Who a thread's async proxy is: wgmma's and TMA's accesses are its own. It begins when it is first needed, for most
/// kernels have none, and each identity makes every acquire and release of all others dearer.
void* async_proxy(Fiber* fiber);

}  // namespace emulator
