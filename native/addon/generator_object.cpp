// A generator: opens sessions, and answers single passes.
#include "objects.h"
#include "values.h"

namespace magnets::addon {

namespace {

/// The device as a session sees it: where sessions can run at the same time, each has a thread of its own that waits
/// for it.
std::shared_ptr<DeviceState> device_of_session(Napi::Env env, const std::shared_ptr<DeviceState>& device) {
  if (!device->backend->concurrent()) return device;
  auto own = std::make_shared<DeviceState>(*device);
  own->queue = JobQueue::create(env);
  own->queue->stop_at_end(device->backend);
  return own;
}

}  // namespace

Napi::Function GeneratorObject::define(Napi::Env env) {
  return DefineClass(
      env, "NativeGenerator",
      {InstanceMethod<&GeneratorObject::open_session>("openSession"),
       InstanceMethod<&GeneratorObject::forward>("forward"), InstanceAccessor<&GeneratorObject::bytes>("bytes"),
       InstanceMethod<&GeneratorObject::session_bytes>("sessionBytes"), InstanceMethod<&GeneratorObject::trim>("trim"),
       disposer()});
}

Napi::Value GeneratorObject::open_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const auto object = info[0].ToObject();
    SessionOptions options{
        .ids = to_vector<int32_t>(object.Get("ids")),
        .masked = to_vector<uint8_t>(object.Get("masked")),
        .turns = to_vector<int32_t>(object.Get("turns")),
        .class_ids = to_vector<int32_t>(object.Get("classIds")),
        .null_class_id = std::nullopt,
        .sample_numbers = to_vector<int32_t>(object.Get("sampleNumbers")),
        .seeds = to_vector<uint64_t>(object.Get("seeds")),
        .profiled = object.Get("profiled").ToBoolean(),
    };
    const int null_class_id = to_int(object, "nullClassId");
    if (null_class_id >= 0) options.null_class_id = null_class_id;
    const auto device = device_of_session(env, this->device(env));
    return device->queue->submit(env, [device, sessions = value(env), options]() -> Settle {
      auto session = sessions->open(options);
      return [device, session](Napi::Env env) { return SessionObject::wrap(env, session, device); };
    });
  });
}

Napi::Value GeneratorObject::forward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    auto ids = to_vector<int32_t>(info[0]);
    auto class_ids = to_vector<int32_t>(info[1]);
    const Width width{info[2].ToNumber().Int32Value(), info[3].ToNumber().Int32Value()};
    return queue(env).submit(env, [sessions = value(env), ids, class_ids, width]() -> Settle {
      auto result = std::make_shared<ForwardResult>(sessions->forward(ids, class_ids, width));
      return [result](Napi::Env env) {
        auto object = Napi::Object::New(env);
        object.Set("logits", to_array(env, result->logits));
        object.Set("flops", to_object(env, result->flops));
        return object;
      };
    });
  });
}

Napi::Value GeneratorObject::bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(value(info.Env())->generator()->bytes()));
}

Napi::Value GeneratorObject::session_bytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const int samples = info[0].ToNumber().Int32Value();
    const size_t bytes = Session::bytes_of(value(env)->generator(), samples, info[1].ToBoolean());
    return Napi::Number::New(env, static_cast<double>(bytes));
  });
}

Napi::Value GeneratorObject::trim(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    return queue(env).submit(env, [device = device(env), sessions = value(env)]() -> Settle {
      sessions->drop_idle();
      device->backend->trim();
      return [](Napi::Env env) { return env.Undefined(); };
    });
  });
}

}  // namespace magnets::addon
