// A tokenizer: pixels to tokens and back.
#include "objects.h"
#include "values.h"

namespace magnets::addon {

namespace {

/// { [name]: values, flops }
template <class Result>
Settle settle_with(const char* name, Result result) {
  const auto shared = std::make_shared<const Result>(std::move(result));
  return [name, shared](Napi::Env env) {
    auto object = Napi::Object::New(env);
    object.Set(name, to_array(env, shared->values));
    object.Set("flops", static_cast<double>(shared->flops));
    return object;
  };
}

}  // namespace

Napi::Function StopObject::define(Napi::Env env) {
  return DefineClass(env, "NativeStop", {InstanceMethod<&StopObject::stop>("stop")});
}

std::shared_ptr<const StopFlag> StopObject::flag_of(const Napi::Value& value) {
  if (value.IsUndefined()) return nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(constructors(value.Env()).stop.Value())) {
    throw Napi::TypeError::New(value.Env(), "expected a stop");
  }
  return Unwrap(value.As<Napi::Object>())->flag_;
}

Napi::Function TokenizerObject::define(Napi::Env env) {
  return DefineClass(
      env, "NativeTokenizer",
      {InstanceMethod<&TokenizerObject::encode>("encode"), InstanceMethod<&TokenizerObject::quantize>("quantize"),
       InstanceMethod<&TokenizerObject::detokenize>("detokenize"), InstanceAccessor<&TokenizerObject::bytes>("bytes"),
       InstanceMethod<&TokenizerObject::detokenize_bytes>("detokenizeBytes"),
       InstanceMethod<&TokenizerObject::trim>("trim"), InstanceMethod<&TokenizerObject::new_stop>("newStop"),
       disposer()});
}

Napi::Value TokenizerObject::encode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const auto pixels = std::make_shared<const std::vector<float>>(to_vector<float>(info[0]));
    const int count = info[1].ToNumber().Int32Value();
    return queue(env).submit(env, [codec = value(env), pixels, count, stop = StopObject::flag_of(info[2])]() -> Settle {
      return settle_with("latents", codec->encode(*pixels, count, stop.get()));
    });
  });
}

Napi::Value TokenizerObject::quantize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const auto latents = std::make_shared<const std::vector<float>>(to_vector<float>(info[0]));
    const int count = info[1].ToNumber().Int32Value();
    return queue(env).submit(env, [codec = value(env), latents, count]() -> Settle {
      return settle_with("tokens", codec->quantize(*latents, count));
    });
  });
}

Napi::Value TokenizerObject::detokenize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const auto tokens = to_vector<int32_t>(info[0]);
    const int count = info[1].ToNumber().Int32Value();
    return queue(env).submit(env, [codec = value(env), tokens, count, stop = StopObject::flag_of(info[2])]() -> Settle {
      return settle_with("pixels", codec->detokenize(tokens, count, stop.get()));
    });
  });
}

Napi::Value TokenizerObject::bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(value(info.Env())->bytes()));
}

Napi::Value TokenizerObject::detokenize_bytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const size_t bytes = value(env)->detokenize_bytes(info[0].ToNumber().Int32Value());
    return Napi::Number::New(env, static_cast<double>(bytes));
  });
}

Napi::Value TokenizerObject::trim(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    return queue(env).submit(env, [device = device(env), codec = value(env)]() -> Settle {
      codec->trim();
      device->backend->trim();
      return [](Napi::Env env) { return env.Undefined(); };
    });
  });
}

Napi::Value TokenizerObject::new_stop(const Napi::CallbackInfo& info) { return constructors(info.Env()).stop.New({}); }

}  // namespace magnets::addon
