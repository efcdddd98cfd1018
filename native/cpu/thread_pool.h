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
  /// A thread that calls `work`. Throws std::system_error where the system has none to give.
  using StartThread = std::function<std::thread(std::function<void()> work)>;

  /// `threads` counts the caller. Where the system gives fewer, the pool goes on with those it has. A test may stand in
  /// for the system with a `start` of its own.
  explicit ThreadPool(
      int threads, const StartThread& start = [](auto work) { return std::thread(std::move(work)); });
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  /// Those that there are, with the caller.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(task, thread) for every task < tasks, 0 <= thread < threads(), and returns when all are done; allocates
  /// nothing. One caller at a time. Tasks begin in their order. When one throws, no more of them begin; when those that
  /// have begun are done, the exception of the first of the tasks that threw is thrown here.
  template <class Body>
  void run(int tasks, const Body& body) {
    call_ = [](const void* body, int task, int thread) { (*static_cast<const Body*>(body))(task, thread); };
    body_ = &body;
    run(tasks);
  }

 private:
  void run(int tasks);
  void work(int thread);
  void take_tasks(int thread);
  void stop();

  // A job is open while inside_ >= 0. A worker enters by incrementing it, and the caller closes the job by moving it
  // from 0 to -1: it never waits for a worker that has not entered.
  static constexpr int kClosed = -1;
  std::atomic<int> inside_{kClosed};
  std::atomic<unsigned> job_{0};
  std::atomic<int> next_{0};
  int tasks_ = 0;
  void (*call_)(const void* body, int task, int thread) = nullptr;
  const void* body_ = nullptr;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<int> asleep_{0};
  std::atomic<bool> stop_{false};
  std::exception_ptr error_;
  int error_task_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace magnets::cpu
