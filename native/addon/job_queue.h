// A thread for native work, and the way back to JavaScript. Jobs run one after another; libuv's pool and
// the event loop stay free.
#pragma once

#include <napi.h>

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "../ops/backend.h"

namespace magnets::addon {

/// Turns what a task has found into a JavaScript value; runs on the JavaScript thread.
using Settle = std::function<Napi::Value(Napi::Env)>;
/// What a job does; runs on the queue's thread and may throw.
using Task = std::function<Settle()>;

/// A JavaScript error with a stable `code` (docs/errors.md): that of a magnets::Error, or what fits the exception. It
/// allocates nothing itself, because it is what reports that there is no memory.
Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& error);
Napi::Error to_js_error(Napi::Env env, const char* code, const char* message);

class JobQueue : public std::enable_shared_from_this<JobQueue> {
 public:
  /// Throws ERR_THREAD where the system gives no thread, std::bad_alloc where it has no memory for one.
  static std::shared_ptr<JobQueue> create(Napi::Env env);
  ~JobQueue();

  /// The jobs of this queue compute on `backend`.
  void stop_at_end(std::weak_ptr<Backend> backend) { backend_ = std::move(backend); }

  /// Returns a promise of the result of `task`. A job and all that it holds are destroyed on the JavaScript thread.
  /// While jobs are pending the process stays alive. When the environment ends (a worker is terminated), it waits for
  /// the operation that runs, whose job then ends, and drops the other jobs.
  Napi::Promise submit(Napi::Env env, Task task);

 private:
  struct Job {
    Napi::Promise::Deferred deferred;
    std::shared_ptr<JobQueue> queue;  // keeps the queue while the job is pending
    Task task;
    Settle settle;
    std::exception_ptr error;
  };
  using Jobs = std::list<Job>;  // a job moves between lists without an allocation, which could fail
  using Context = std::weak_ptr<JobQueue>;
  static void on_finished(Napi::Env env, Napi::Function, Context* context, void*);
  using Wake = Napi::TypedThreadSafeFunction<Context, void, on_finished>;

  explicit JobQueue(Napi::Env env) : env_(env) {}
  static void on_environment_end(void* self);
  void await_thread();
  void run();
  void settle_finished(Napi::Env env);
  void close();

  const napi_env env_;
  Wake wake_;
  bool closed_ = true;    // until it has a thread
  size_t unsettled_ = 0;  // JavaScript thread only, like the next
  std::weak_ptr<Backend> backend_;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool begun_ = false;
  bool stop_ = false;
  Jobs pending_;
  Jobs finished_;
  std::thread thread_;
};

}  // namespace magnets::addon
