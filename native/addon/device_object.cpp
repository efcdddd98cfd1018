// A device: loads models, and measures what it can do at its best.
#include "../engine/codec/make_codec.h"
#include "configs.h"
#include "objects.h"
#include "values.h"

namespace magnets::addon {

namespace {

/// The weights argument: where tensors are, by name, or a seed.
std::shared_ptr<WeightSource> to_weights(const Napi::Object& weights) {
  if (weights.Get("seed").IsNumber()) {
    return std::make_shared<RandomWeights>(weights.Get("seed").As<Napi::Number>().Int64Value());
  }
  std::map<std::string, FileWeights::Tensor> tensors;
  const Napi::Array names = weights.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString();
    const Napi::Object tensor = weights.Get(name).As<Napi::Object>();
    const Napi::Array shape = tensor.Get("shape").As<Napi::Array>();
    size_t size = 1;
    for (uint32_t axis = 0; axis < shape.Length(); ++axis) size *= shape.Get(axis).ToNumber().Int64Value();
    tensors[name] = {.path = tensor.Get("path").ToString(),
                     .position = static_cast<uint64_t>(tensor.Get("position").ToNumber().Int64Value()),
                     .dtype = to_dtype(tensor.Get("dtype")),
                     .size = size};
  }
  return std::make_shared<FileWeights>(std::move(tensors));
}

/// A promise of `make`'s model, as an Object.
template <class Object, class Make>
Napi::Value load(const Napi::CallbackInfo& info, const std::shared_ptr<DeviceState>& device, const Make& make) {
  const Napi::Env env = info.Env();
  const auto source = to_weights(info[1].ToObject());
  const WeightFormat format = to_weight_format(info[2]);
  return device->queue->submit(env, [device, make, source, format]() -> Settle {
    auto model = make(device->backend, *source, format);
    return [device, model](Napi::Env env) { return Object::wrap(env, model, device); };
  });
}

/// { weights, work } in bytes.
Napi::Value memory_object(Napi::Env env, size_t weights, size_t work) {
  auto object = Napi::Object::New(env);
  object.Set("weights", static_cast<double>(weights));
  object.Set("work", static_cast<double>(work));
  return object;
}

}  // namespace

Napi::Function DeviceObject::define(Napi::Env env) {
  return DefineClass(
      env, "NativeDevice",
      {InstanceAccessor<&DeviceObject::backend>("backend"), InstanceAccessor<&DeviceObject::threads>("threads"),
       InstanceMethod<&DeviceObject::load_generator>("loadGenerator"),
       InstanceMethod<&DeviceObject::load_tokenizer>("loadTokenizer"),
       InstanceMethod<&DeviceObject::generator_memory>("generatorMemory"),
       InstanceMethod<&DeviceObject::tokenizer_memory>("tokenizerMemory"),
       InstanceMethod<&DeviceObject::measure_peak>("measurePeak"),
       InstanceMethod<&DeviceObject::time_tiles>("timeTiles"), InstanceAccessor<&DeviceObject::memory>("memory"),
       InstanceMethod<&DeviceObject::stop>("stop"), disposer()});
}

Napi::Value DeviceObject::backend(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), value(info.Env())->backend->name());
}

Napi::Value DeviceObject::threads(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), value(info.Env())->backend->threads());
}

Napi::Value DeviceObject::load_generator(const Napi::CallbackInfo& info) {
  return coded(info.Env(), [&] {
    const GeneratorConfig config = to_generator_config(info[0]);
    return load<GeneratorObject>(
        info, device(info.Env()),
        [config](const std::shared_ptr<Backend>& backend, WeightSource& source, WeightFormat format) {
          return std::make_shared<SessionPool>(load_model<Generator>(backend, config, source, format));
        });
  });
}

Napi::Value DeviceObject::load_tokenizer(const Napi::CallbackInfo& info) {
  return coded(info.Env(), [&] {
    const CodecConfig config = to_codec_config(info[0]);
    return load<TokenizerObject>(info, device(info.Env()),
                                 [config](const std::shared_ptr<Backend>& backend, WeightSource& source,
                                          WeightFormat format) { return make_codec(backend, config, source, format); });
  });
}

Napi::Value DeviceObject::generator_memory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    ListingLoader listing(to_weight_format(info[1]));
    const auto generator =
        std::make_shared<const Generator>(value(env)->backend, to_generator_config(info[0]), listing);
    const int samples = info[2].ToNumber().Int32Value();
    return memory_object(env, generator->bytes(), Session::bytes_of(generator, samples, info[3].ToBoolean()));
  });
}

Napi::Value DeviceObject::tokenizer_memory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const auto codec = codec_without_weights(value(env)->backend, to_codec_config(info[0]), to_weight_format(info[1]));
    return memory_object(env, codec->bytes(), codec->detokenize_bytes(info[2].ToNumber().Int32Value()));
  });
}

Napi::Value DeviceObject::memory(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(value(info.Env())->backend->own_memory()));
}

void DeviceObject::stop(const Napi::CallbackInfo& info) { value(info.Env())->backend->stop(); }

Napi::Value DeviceObject::measure_peak(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    return queue(env).submit(env, [device = device(env)]() -> Settle {
      const double peak = device->backend->measure_peak();
      return [peak](Napi::Env env) { return Napi::Number::New(env, peak); };
    });
  });
}

Napi::Value DeviceObject::time_tiles(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    return queue(env).submit(env, [device = device(env)]() -> Settle {
      const auto timings = std::make_shared<const std::vector<TileTiming>>(device->backend->time_tiles());
      return [timings](Napi::Env env) { return to_array(env, *timings); };
    });
  });
}

}  // namespace magnets::addon
