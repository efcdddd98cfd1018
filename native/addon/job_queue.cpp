#include "job_queue.h"

#include <new>
#include <system_error>

#include "../ops/exceptions.h"

namespace magnets::addon {

Napi::Error to_js_error(Napi::Env env, const char* code, const char* message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", code);
  return error;
}

Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const magnets::Error& e) {
    return to_js_error(env, e.code.c_str(), e.what());
  } catch (const std::bad_alloc&) {
    return to_js_error(env, "ERR_OUT_OF_MEMORY", "out of memory");
  } catch (const std::length_error&) {
    return to_js_error(env, "ERR_OUT_OF_MEMORY", "more memory than can be addressed");
  } catch (const std::exception& e) {
    return to_js_error(env, "ERR_INTERNAL", e.what());
  } catch (...) {
    return to_js_error(env, "ERR_INTERNAL", "unknown native error");
  }
}

std::shared_ptr<JobQueue> JobQueue::create(Napi::Env env) {
  std::shared_ptr<JobQueue> queue(new JobQueue(env));
  queue->wake_ =
      Wake::New(env, "magnets", 0, 1, new Context(queue), [](Napi::Env, void*, Context* context) { delete context; });
  queue->wake_.Unref(env);
  try {
    queue->thread_ = std::thread([self = queue.get()] { self->run(); });
  } catch (const std::system_error& error) {
    queue->wake_.Release();
    throw Error("ERR_THREAD", std::string("cannot start a thread: ") + error.what());
  } catch (...) {
    queue->wake_.Release();
    throw;
  }
  queue->closed_ = false;
  queue->await_thread();
  // Hooks run last in, first out: ours stops the thread before the thread-safe function's own ends it.
  napi_add_env_cleanup_hook(env, on_environment_end, queue.get());
  return queue;
}

JobQueue::~JobQueue() {
  if (closed_) return;
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  close();
}

void JobQueue::on_environment_end(void* self) {
  const std::shared_ptr<JobQueue> queue = static_cast<JobQueue*>(self)->shared_from_this();
  if (const auto backend = queue->backend_.lock()) backend->stop();
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

Napi::Promise JobQueue::submit(Napi::Env env, Task task) {
  auto deferred = Napi::Promise::Deferred::New(env);
  Jobs job;
  job.push_back({deferred, shared_from_this(), std::move(task), nullptr, nullptr});
  if (unsettled_++ == 0) wake_.Ref(env);
  {
    const std::lock_guard lock(mutex_);
    pending_.splice(pending_.end(), job);
  }
  changed_.notify_one();
  return deferred.Promise();
}

void JobQueue::await_thread() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return begun_; });
  if (!stop_) return;
  lock.unlock();
  close();
  throw std::bad_alloc();
}

void JobQueue::run() {
  const bool prepared = prepare_exceptions();
  std::unique_lock lock(mutex_);
  begun_ = true;
  stop_ = !prepared;
  changed_.notify_one();
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !pending_.empty(); });
    if (stop_) return;
    Jobs running;
    running.splice(running.end(), pending_, pending_.begin());
    lock.unlock();
    try {
      running.front().settle = running.front().task();
    } catch (...) {
      running.front().error = std::current_exception();
    }
    lock.lock();
    finished_.splice(finished_.end(), running);
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
  for (Job& job : finished) {
    const Napi::HandleScope scope(env);
    if (--unsettled_ == 0) wake_.Unref(env);
    if (!job.error) {
      try {
        job.deferred.Resolve(job.settle(env));
        continue;
      } catch (const Napi::Error& error) {
        job.deferred.Reject(error.Value());
        continue;
      } catch (...) {
        job.error = std::current_exception();
      }
    }
    job.deferred.Reject(to_js_error(env, job.error).Value());
  }
}

}  // namespace magnets::addon
