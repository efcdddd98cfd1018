// Threads of our own: tasks are handed out one by one, and the caller takes part.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace magnets::cpu {

class ThreadPool {
 public:
  /// `threads` counts the caller.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(task, thread) for every task < tasks, 0 <= thread < threads(), and returns when all are done.
  /// One caller at a time. An exception of a task is thrown here, after the others are done.
  void run(int tasks, const std::function<void(int task, int thread)>& body);

 private:
  void work(int thread);
  void take_tasks(int thread);

  // A job is open while inside_ >= 0. A worker enters by incrementing it, and the caller closes the job by moving it
  // from 0 to -1: it never waits for a worker that has not entered.
  static constexpr int kClosed = -1;
  std::atomic<int> inside_{kClosed};
  std::atomic<unsigned> job_{0};
  std::atomic<int> next_{0};
  int tasks_ = 0;
  const std::function<void(int, int)>* body_ = nullptr;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<int> asleep_{0};
  std::atomic<bool> stop_{false};
  std::exception_ptr error_;
  std::vector<std::thread> workers_;
};

}  // namespace magnets::cpu
