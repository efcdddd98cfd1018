#include "thread_pool.h"

#include <system_error>
#include <utility>

#include "../ops/exceptions.h"
#include "parts.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace magnets::cpu {

namespace {

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// About 0.1 ms: longer than the gap between two operations, shorter than anyone would notice as load.
constexpr int kSpins = 2000;

}  // namespace

ThreadPool::ThreadPool(int threads, const StartThread& start) : shares_(new Share[threads]) {
  try {
    workers_.reserve(threads - 1);
    for (int thread = 1; thread < threads; ++thread) workers_.push_back(start([this, thread] { work(thread); }));
  } catch (const std::system_error&) {
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    job_.fetch_add(1);
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int tasks) {
  end_.store(tasks, std::memory_order_relaxed);
  for (int thread = 0; thread < threads(); ++thread) {
    shares_[thread].next.store(begin_of(tasks, thread, threads()), std::memory_order_relaxed);
    shares_[thread].end = begin_of(tasks, thread + 1, threads());
  }
  if (tasks > 1 && !workers_.empty()) {
    inside_.store(0, std::memory_order_release);
    job_.fetch_add(1);
    if (asleep_.load() > 0) {
      { const std::lock_guard lock(mutex_); }
      changed_.notify_all();
    }
    take_tasks(0);
    for (int spin = 0, nobody = 0; !inside_.compare_exchange_weak(nobody, kClosed, std::memory_order_acq_rel); ++spin) {
      nobody = 0;
      // A worker that another process has pushed off its core needs one to finish on.
      spin < kSpins ? pause() : std::this_thread::yield();
    }
  } else {
    take_tasks(0);
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::take_tasks(int thread) {
  for (int i = 0; i < threads(); ++i) {
    Share& share = shares_[(thread + i) % threads()];
    // To look first leaves the line with whoever else still takes tasks from it.
    while (share.next.load(std::memory_order_relaxed) < share.end) {
      const int task = share.next.fetch_add(1, std::memory_order_relaxed);
      if (task < share.end && task < end_.load(std::memory_order_relaxed)) run_task(task, thread);
    }
  }
}

void ThreadPool::run_task(int task, int thread) {
  try {
    call_(body_, task, thread);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    // Every task before one that threw begins, so which is the first does not depend on who was faster.
    if (task >= end_.load(std::memory_order_relaxed)) return;
    error_ = std::current_exception();
    end_.store(task, std::memory_order_relaxed);
  }
}

void ThreadPool::work(int thread) {
  if (!prepare_exceptions()) return;  // the others do without it
  for (unsigned seen = 0;;) {
    for (int spin = 0; job_.load(std::memory_order_acquire) == seen; ++spin) {
      if (spin < kSpins) {
        pause();
        continue;
      }
      std::unique_lock lock(mutex_);
      asleep_.fetch_add(1);
      changed_.wait(lock, [&] { return job_.load() != seen; });
      asleep_.fetch_sub(1);
    }
    seen = job_.load(std::memory_order_acquire);
    if (stop_) return;

    int inside = inside_.load(std::memory_order_relaxed);
    while (inside != kClosed && !inside_.compare_exchange_weak(inside, inside + 1, std::memory_order_acq_rel)) {
    }
    if (inside == kClosed) continue;
    take_tasks(thread);
    inside_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

}  // namespace magnets::cpu
