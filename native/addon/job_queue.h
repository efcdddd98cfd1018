// One thread of our own for native work, and the way back to JavaScript. Jobs run one after another; libuv's pool and
// the event loop stay free.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace magnets::addon {

/// Makes the job's JavaScript value; runs on the JavaScript thread.
using Settle = std::function<Napi::Value(Napi::Env)>;
/// The job itself; runs on the queue's thread and may throw.
using Work = std::function<Settle()>;

/// A JavaScript error with the stable `code` of a magnets::Error.
Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& error);

class JobQueue : public std::enable_shared_from_this<JobQueue> {
 public:
  static std::shared_ptr<JobQueue> create(Napi::Env env);
  ~JobQueue();

  /// A promise of what `work` makes. A job and all that it holds is destroyed on the JavaScript thread. While jobs are
  /// pending the process stays alive. When the environment ends (a worker is terminated), the running job is waited
  /// for and the others are dropped.
  Napi::Promise submit(Napi::Env env, Work work);

 private:
  struct Job {
    Napi::Promise::Deferred deferred;
    std::shared_ptr<JobQueue> queue;  // keeps the queue while the job is pending
    Work work;
    Settle settle;
    std::exception_ptr error;
  };
  using Jobs = std::vector<std::unique_ptr<Job>>;
  using Context = std::weak_ptr<JobQueue>;
  static void on_finished(Napi::Env env, Napi::Function, Context* context, void*);
  using Wake = Napi::TypedThreadSafeFunction<Context, void, on_finished>;

  explicit JobQueue(Napi::Env env) : env_(env) {}
  static void on_environment_end(void* self);
  void run();
  void settle_finished(Napi::Env env);
  void close();

  const napi_env env_;
  Wake wake_;
  bool closed_ = false;
  size_t unsettled_ = 0;  // JavaScript thread only

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  Jobs pending_;
  Jobs finished_;
  std::thread thread_;
};

}  // namespace magnets::addon
