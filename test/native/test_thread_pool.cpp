// Every task once, whatever the number of threads; exceptions reach the caller. Also built with ThreadSanitizer.
#include <atomic>
#include <stdexcept>

#include "../../native/cpu/thread_pool.h"
#include "check.h"

using namespace magnets::test;

int main() {
  for (const int threads : {1, 2, 3, 8}) {
    magnets::cpu::ThreadPool pool(threads);
    for (int round = 0; round < 300; ++round) {
      const int tasks = round % 37;
      std::vector<int> done(tasks);  // not atomic: a task run twice at once is a race
      std::atomic<bool> inside{true};
      pool.run(tasks, [&](int task, int thread) {
        ++done[task];
        if (thread < 0 || thread >= threads) inside = false;
      });
      check(inside && done == std::vector<int>(tasks, 1), "every task once");
    }
    bool thrown = false;
    try {
      pool.run(20, [](int task, int) {
        if (task == 13) throw std::runtime_error("13");
      });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    check(thrown, "an exception reaches the caller");
    int after = 0;
    pool.run(1, [&](int, int) { ++after; });
    check(after == 1, "the pool goes on after an exception");
  }
  return report("thread_pool");
}
