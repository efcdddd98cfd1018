// Threads of our own; the caller takes part. Each begins with a share of the tasks that follow each other, so from one
// operation to the next it comes to the same rows, which its own cache holds, and then helps the others.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
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
  /// nothing. One caller at a time. When a task throws, none that comes after it begins any more; those before it do,
  /// and the exception of the first of all that threw is thrown here.
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
  void run_task(int task, int thread);
  void stop();

  // What one thread writes and others wait for lies apart: a cache line takes long from one core to another.
  static constexpr size_t kCacheLine = 64;
  struct alignas(kCacheLine) Share {
    std::atomic<int> next{0};
    int end = 0;
  };

  // A job is open while inside_ >= 0. A worker enters by incrementing it, and the caller closes the job by moving it
  // from 0 to -1: it never waits for a worker that has not entered.
  static constexpr int kClosed = -1;
  alignas(kCacheLine) std::atomic<int> inside_{kClosed};
  alignas(kCacheLine) std::atomic<unsigned> job_{0};
  void (*call_)(const void* body, int task, int thread) = nullptr;
  const void* body_ = nullptr;
  std::atomic<int> end_{0};  // tasks from there on do not begin
  std::unique_ptr<Share[]> shares_;

  alignas(kCacheLine) std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<int> asleep_{0};
  std::atomic<bool> stop_{false};
  std::exception_ptr error_;
  std::vector<std::thread> workers_;
};

}  // namespace magnets::cpu
