#include "job_queue.h"

#include <new>

#include "../backend.h"

namespace magnets::addon {

Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& error) {
  std::string code = "ERR_INTERNAL";
  std::string message;
  try {
    std::rethrow_exception(error);
  } catch (const magnets::Error& e) {
    code = e.code;
    message = e.what();
  } catch (const std::bad_alloc&) {
    code = "ERR_OUT_OF_MEMORY";
    message = "out of memory";
  } catch (const std::exception& e) {
    message = e.what();
  } catch (...) {
    message = "unknown native error";
  }
  Napi::Error js_error = Napi::Error::New(env, message);
  js_error.Set("code", code);
  return js_error;
}

std::shared_ptr<JobQueue> JobQueue::create(Napi::Env env) {
  std::shared_ptr<JobQueue> queue(new JobQueue(env));
  queue->wake_ =
      Wake::New(env, "magnets", 0, 1, new Context(queue), [](Napi::Env, void*, Context* context) { delete context; });
  queue->wake_.Unref(env);
  // Hooks run last in, first out: ours stops the thread before the thread-safe function's own ends it.
  napi_add_env_cleanup_hook(env, on_environment_end, queue.get());
  queue->thread_ = std::thread([self = queue.get()] { self->run(); });
  return queue;
}

JobQueue::~JobQueue() {
  if (closed_) return;
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  close();
}

void JobQueue::on_environment_end(void* self) {
  const std::shared_ptr<JobQueue> queue = static_cast<JobQueue*>(self)->shared_from_this();
  queue->close();
  queue->pending_.clear();
  queue->finished_.clear();
}

void JobQueue::close() {
  closed_ = true;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
  wake_.Release();
}

Napi::Promise JobQueue::submit(Napi::Env env, Work work) {
  auto deferred = Napi::Promise::Deferred::New(env);
  const Napi::Promise promise = deferred.Promise();
  std::unique_ptr<Job> job(new Job{deferred, shared_from_this(), std::move(work), nullptr, nullptr});
  if (unsettled_++ == 0) wake_.Ref(env);
  {
    const std::lock_guard lock(mutex_);
    pending_.push_back(std::move(job));
  }
  changed_.notify_one();
  return promise;
}

void JobQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !pending_.empty(); });
    if (stop_) return;
    std::unique_ptr<Job> job = std::move(pending_.front());
    pending_.erase(pending_.begin());
    lock.unlock();
    try {
      job->settle = job->work();
    } catch (...) {
      job->error = std::current_exception();
    }
    lock.lock();
    finished_.push_back(std::move(job));
    wake_.NonBlockingCall();
  }
}

void JobQueue::on_finished(Napi::Env env, Napi::Function, Context* context, void*) {
  if (env == nullptr) return;  // the environment is ending; on_environment_end drops the jobs
  if (const std::shared_ptr<JobQueue> queue = context->lock()) queue->settle_finished(env);
}

void JobQueue::settle_finished(Napi::Env env) {
  Jobs finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
  }
  for (const std::unique_ptr<Job>& job : finished) {
    const Napi::HandleScope scope(env);
    if (--unsettled_ == 0) wake_.Unref(env);
    if (!job->error) {
      try {
        job->deferred.Resolve(job->settle(env));
        continue;
      } catch (const Napi::Error& error) {
        job->deferred.Reject(error.Value());
        continue;
      } catch (...) {
        job->error = std::current_exception();
      }
    }
    job->deferred.Reject(to_js_error(env, job->error).Value());
  }
}

}  // namespace magnets::addon
