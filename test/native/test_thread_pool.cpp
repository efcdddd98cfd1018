// Every task once, whatever the number of threads; exceptions reach the caller; fewer threads than were asked for. Also
// built with ThreadSanitizer.
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <system_error>

#include "../../native/cpu/thread_pool.h"
#include "check.h"

using namespace magnets::test;
using magnets::cpu::ThreadPool;

namespace {

void runs_every_task_once(ThreadPool& pool) {
  for (int round = 0; round < 300; ++round) {
    const int tasks = round % 37;
    std::vector<int> done(tasks);  // not atomic: a task run twice at once is a race
    std::atomic<bool> inside{true};
    pool.run(tasks, [&](int task, int thread) {
      ++done[task];
      if (thread < 0 || thread >= pool.threads()) inside = false;
    });
    check(inside && done == std::vector<int>(tasks, 1), "every task once");
  }
}

void passes_exceptions_on(ThreadPool& pool) {
  const auto message_of = [&](int tasks, const auto& body) {
    try {
      pool.run(tasks, body);
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  check(message_of(20,
                   [](int task, int) {
                     if (task == 13) throw std::runtime_error("13");
                   }) == "13",
        "an exception reaches the caller");

  // As many tasks as threads, all under way at once, all of them throw.
  for (int round = 0; round < 20; ++round) {
    const int tasks = pool.threads();
    std::atomic<int> begun{0};
    const std::string message = message_of(tasks, [&](int task, int) {
      ++begun;
      while (begun < tasks) std::this_thread::yield();
      throw std::runtime_error(std::to_string(task));
    });
    check(begun == tasks && message == "0", "of several exceptions that of the first task, not of " + message);
  }

  // The others go slowly from when the first throws on; they would take a second and more for all that are left.
  constexpr int kMany = 10000;
  std::atomic<int> begun{0};
  std::atomic<bool> throwing{false};
  const std::string message = message_of(kMany, [&](int task, int) {
    ++begun;
    if (task == 0) {
      throwing = true;
      throw std::runtime_error("0");
    }
    while (!throwing) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  check(message == "0" && begun < kMany, "tasks go on after one has thrown");
  int after = 0;
  pool.run(1, [&](int, int) { ++after; });
  check(after == 1, "the pool goes on after an exception");
}

/// A system that has `available` threads to give, and then fails so.
template <class Failure>
ThreadPool::StartThread scarce(int available, Failure failure) {
  return [available, failure](std::function<void()> work) mutable {
    if (available-- == 0) throw failure;
    return std::thread(std::move(work));
  };
}

void goes_on_with_fewer_threads() {
  const std::system_error none(std::make_error_code(std::errc::resource_unavailable_try_again));
  for (const int available : {0, 1, 2}) {
    ThreadPool pool(8, scarce(available, none));
    check(pool.threads() == 1 + available, "the threads that there are");
    runs_every_task_once(pool);
    passes_exceptions_on(pool);
  }
  bool thrown = false;
  try {
    ThreadPool pool(4, scarce(2, std::bad_alloc()));
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  check(thrown, "a constructor that fails ends the threads it has started");
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    check(pool.threads() == threads, "as many threads as were asked for");
    runs_every_task_once(pool);
    passes_exceptions_on(pool);
  }
  goes_on_with_fewer_threads();
  return report("thread_pool");
}
