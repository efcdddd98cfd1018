// The JavaScript classes around the engine's objects. No arithmetic: arguments in, jobs to the queue, results out.
#pragma once

#include <napi.h>

#include <memory>
#include <type_traits>

#include "../engine/codec/codec.h"
#include "../engine/session_pool.h"
#include "job_queue.h"

namespace magnets::addon {

/// What everything loaded on a device shares.
struct DeviceState {
  std::shared_ptr<Backend> backend;
  std::shared_ptr<JobQueue> queue;
};

/// Host memory behind a value. V8 cannot see it and is told, so that it collects objects sooner that nobody disposed
/// of.
inline size_t host_bytes(const Session& session) { return session.bytes(); }
inline size_t host_bytes(const SessionPool& sessions) { return sessions.generator()->bytes(); }
inline size_t host_bytes(const Codec& codec) { return codec.bytes(); }
inline size_t host_bytes(const DeviceState&) { return 0; }

/// A JavaScript class around a T that JavaScript code cannot construct by itself. `dispose()` lets go of it at once; a
/// job that still runs keeps it alive.
template <class Self, class T>
class Wrap : public Napi::ObjectWrap<Self> {
 public:
  explicit Wrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Self>(info) {
    if (info.Length() != 2 || !info[0].IsExternal() || !info[1].IsExternal()) {
      throw Napi::TypeError::New(info.Env(), "expected to be constructed by magnets");
    }
    value_ = *info[0].As<Napi::External<std::shared_ptr<T>>>().Data();
    device_ = *info[1].As<Napi::External<std::shared_ptr<DeviceState>>>().Data();
    if (device_->backend->own_memory() == 0) tell(info.Env(), static_cast<int64_t>(host_bytes(*value_)));
  }
  ~Wrap() override { tell(this->Env(), -told_); }

  static Napi::Value wrap(Napi::Env env, std::shared_ptr<T> value, std::shared_ptr<DeviceState> device);

 protected:
  const std::shared_ptr<T>& value(Napi::Env env) const { return alive(env, value_); }
  const std::shared_ptr<DeviceState>& device(Napi::Env env) const { return alive(env, device_); }
  JobQueue& queue(Napi::Env env) const { return *device(env)->queue; }
  /// Expires when the object is disposed of: a job that has not begun by then need not.
  std::weak_ptr<const void> life() const { return life_; }
  static auto disposer() {
    return Self::InstanceMethod("dispose", static_cast<void (Self::*)(const Napi::CallbackInfo&)>(&Wrap::dispose));
  }

 private:
  void dispose(const Napi::CallbackInfo& info) {
    tell(info.Env(), -told_);
    value_.reset();
    device_.reset();
    life_.reset();
  }

  template <class P>
  static const P& alive(Napi::Env env, const P& pointer) {
    if (pointer) return pointer;
    throw to_js_error(env, "ERR_DISPOSED", "this object has been disposed");
  }

  /// Tells V8 of a change.
  void tell(Napi::Env env, int64_t bytes) {
    if (bytes == 0) return;
    Napi::MemoryManagement::AdjustExternalMemory(env, bytes);
    told_ += bytes;
  }

  std::shared_ptr<T> value_;
  std::shared_ptr<const void> life_ = std::make_shared<char>();
  std::shared_ptr<DeviceState> device_;
  int64_t told_ = 0;
};

class SessionObject : public Wrap<SessionObject, Session> {
 public:
  using Wrap::Wrap;
  static Napi::Function define(Napi::Env env);

 private:
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value compute(const Napi::CallbackInfo& info);
  Napi::Value reveal(const Napi::CallbackInfo& info);
};

class GeneratorObject : public Wrap<GeneratorObject, SessionPool> {
 public:
  using Wrap::Wrap;
  static Napi::Function define(Napi::Env env);

 private:
  Napi::Value open_session(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
  Napi::Value bytes(const Napi::CallbackInfo& info);
  Napi::Value session_bytes(const Napi::CallbackInfo& info);
  Napi::Value trim(const Napi::CallbackInfo& info);
};

/// Ends the calls that it was given to before they are done.
class StopObject : public Napi::ObjectWrap<StopObject> {
 public:
  using ObjectWrap::ObjectWrap;
  static Napi::Function define(Napi::Env env);
  /// That of an argument; null where it is undefined.
  static std::shared_ptr<const StopFlag> flag_of(const Napi::Value& value);

 private:
  void stop(const Napi::CallbackInfo&) { flag_->stop(); }

  const std::shared_ptr<StopFlag> flag_ = std::make_shared<StopFlag>();
};

class TokenizerObject : public Wrap<TokenizerObject, const Codec> {
 public:
  using Wrap::Wrap;
  static Napi::Function define(Napi::Env env);

 private:
  Napi::Value encode(const Napi::CallbackInfo& info);
  Napi::Value quantize(const Napi::CallbackInfo& info);
  Napi::Value detokenize(const Napi::CallbackInfo& info);
  Napi::Value bytes(const Napi::CallbackInfo& info);
  Napi::Value detokenize_bytes(const Napi::CallbackInfo& info);
  Napi::Value trim(const Napi::CallbackInfo& info);
  Napi::Value new_stop(const Napi::CallbackInfo& info);
};

class DeviceObject : public Wrap<DeviceObject, DeviceState> {
 public:
  using Wrap::Wrap;
  static Napi::Function define(Napi::Env env);

 private:
  Napi::Value backend(const Napi::CallbackInfo& info);
  Napi::Value threads(const Napi::CallbackInfo& info);
  Napi::Value load_generator(const Napi::CallbackInfo& info);
  Napi::Value load_tokenizer(const Napi::CallbackInfo& info);
  Napi::Value generator_memory(const Napi::CallbackInfo& info);
  Napi::Value tokenizer_memory(const Napi::CallbackInfo& info);
  Napi::Value measure_peak(const Napi::CallbackInfo& info);
  Napi::Value time_tiles(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);
};

/// The constructors of the classes. Each environment (main thread or worker) has its own.
struct Constructors {
  explicit Constructors(Napi::Env env)
      : session(Napi::Persistent(SessionObject::define(env))),
        generator(Napi::Persistent(GeneratorObject::define(env))),
        stop(Napi::Persistent(StopObject::define(env))),
        tokenizer(Napi::Persistent(TokenizerObject::define(env))),
        device(Napi::Persistent(DeviceObject::define(env))) {}

  template <class Self>
  Napi::FunctionReference& of() {
    if constexpr (std::is_same_v<Self, SessionObject>) return session;
    if constexpr (std::is_same_v<Self, GeneratorObject>) return generator;
    if constexpr (std::is_same_v<Self, TokenizerObject>) return tokenizer;
    if constexpr (std::is_same_v<Self, DeviceObject>) return device;
  }

  Napi::FunctionReference session, generator, stop, tokenizer, device;
};

/// Those of the environment (addon.cpp).
Constructors& constructors(Napi::Env env);

template <class Self, class T>
Napi::Value Wrap<Self, T>::wrap(Napi::Env env, std::shared_ptr<T> value, std::shared_ptr<DeviceState> device) {
  return constructors(env).of<Self>().New({Napi::External<std::shared_ptr<T>>::New(env, &value),
                                           Napi::External<std::shared_ptr<DeviceState>>::New(env, &device)});
}

/// body(), its C++ errors as JavaScript errors with a code.
template <class Body>
Napi::Value coded(Napi::Env env, const Body& body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_js_error(env, std::current_exception());
  }
}

}  // namespace magnets::addon
