// The native module as lib/native.ts types it. No arithmetic here: arguments in, jobs to the queue, results out.
#include <napi.h>

#include "../cpu/cpu_backend.h"
#include "../engine/generator.h"
#include "../engine/session_pool.h"
#include "../engine/tokenizer.h"
#include "convert.h"
#include "cuda_library.h"
#include "job_queue.h"

namespace magnets::addon {

namespace {

struct Addon;

/// What everything loaded on a device shares.
struct DeviceState {
  std::shared_ptr<Backend> backend;
  std::shared_ptr<JobQueue> queue;
  int threads;
};

/// A JavaScript class around a T that JavaScript code cannot construct by itself. `dispose()` lets go of it at once;
/// a job that still runs holds its own share.
template <class Self, class T>
class Wrap : public Napi::ObjectWrap<Self> {
 public:
  explicit Wrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Self>(info) {
    if (info.Length() != 2 || !info[0].IsExternal() || !info[1].IsExternal()) {
      throw Napi::TypeError::New(info.Env(), "expected to be constructed by magnets");
    }
    value_ = *info[0].As<Napi::External<std::shared_ptr<T>>>().Data();
    device_ = *info[1].As<Napi::External<std::shared_ptr<DeviceState>>>().Data();
  }

  static Napi::Value wrap(Napi::Env env, std::shared_ptr<T> value, std::shared_ptr<DeviceState> device);

 protected:
  const std::shared_ptr<T>& value(Napi::Env env) const { return alive(env, value_); }
  const std::shared_ptr<DeviceState>& device(Napi::Env env) const { return alive(env, device_); }
  JobQueue& queue(Napi::Env env) const { return *device(env)->queue; }
  static auto disposer() {
    return Self::InstanceMethod("dispose", static_cast<void (Self::*)(const Napi::CallbackInfo&)>(&Wrap::dispose));
  }

 private:
  void dispose(const Napi::CallbackInfo&) {
    value_.reset();
    device_.reset();
  }

  template <class P>
  static const P& alive(Napi::Env env, const P& pointer) {
    if (pointer) return pointer;
    Napi::Error error = Napi::Error::New(env, "this object has been disposed");
    error.Set("code", "ERR_DISPOSED");
    throw error;
  }

  std::shared_ptr<T> value_;
  std::shared_ptr<DeviceState> device_;
};

class SessionWrap : public Wrap<SessionWrap, Session> {
 public:
  using Wrap::Wrap;
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeSession", {InstanceMethod<&SessionWrap::step>("step"), disposer()});
  }

 private:
  Napi::Value step(const Napi::CallbackInfo& info);
};

class GeneratorWrap : public Wrap<GeneratorWrap, SessionPool> {
 public:
  using Wrap::Wrap;
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeGenerator",
                       {InstanceMethod<&GeneratorWrap::open_session>("openSession"),
                        InstanceMethod<&GeneratorWrap::forward>("forward"), disposer()});
  }

 private:
  Napi::Value open_session(const Napi::CallbackInfo& info);
  Napi::Value forward(const Napi::CallbackInfo& info);
};

class TokenizerWrap : public Wrap<TokenizerWrap, const Tokenizer> {
 public:
  using Wrap::Wrap;
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeTokenizer",
                       {InstanceMethod<&TokenizerWrap::encode>("encode"),
                        InstanceMethod<&TokenizerWrap::decode>("decode"), disposer()});
  }

 private:
  Napi::Value encode(const Napi::CallbackInfo& info);
  Napi::Value decode(const Napi::CallbackInfo& info);
};

class DeviceWrap : public Wrap<DeviceWrap, DeviceState> {
 public:
  using Wrap::Wrap;
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "NativeDevice",
        {InstanceAccessor<&DeviceWrap::backend>("backend"), InstanceAccessor<&DeviceWrap::threads>("threads"),
         InstanceMethod<&DeviceWrap::load_generator>("loadGenerator"),
         InstanceMethod<&DeviceWrap::load_tokenizer>("loadTokenizer"),
         InstanceMethod<&DeviceWrap::measure_peak>("measurePeak"), disposer()});
  }

 private:
  Napi::Value backend(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), value(info.Env())->backend->name());
  }
  Napi::Value threads(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), value(info.Env())->threads);
  }
  Napi::Value load_generator(const Napi::CallbackInfo& info) {
    const GeneratorConfig config = to_generator_config(info[0].As<Napi::Object>());
    return load<GeneratorWrap>(info, [config](const DeviceState& device, WeightSource& source, DType dtype) {
      return std::make_shared<SessionPool>(std::make_shared<const Generator>(device.backend, config, source, dtype));
    });
  }
  Napi::Value load_tokenizer(const Napi::CallbackInfo& info) {
    const TokenizerConfig config = to_tokenizer_config(info[0].As<Napi::Object>());
    return load<TokenizerWrap>(info, [config](const DeviceState& device, WeightSource& source, DType dtype) {
      return std::make_shared<const Tokenizer>(device.backend, config, source, dtype);
    });
  }
  template <class ModelWrap, class Make>
  Napi::Value load(const Napi::CallbackInfo& info, const Make& make);
  Napi::Value measure_peak(const Napi::CallbackInfo& info);
};

/// Per environment (main thread or worker): the classes' constructors.
struct Addon : public Napi::Addon<Addon> {
  Addon(Napi::Env env, Napi::Object exports)
      : session(Napi::Persistent(SessionWrap::define(env))),
        generator(Napi::Persistent(GeneratorWrap::define(env))),
        tokenizer(Napi::Persistent(TokenizerWrap::define(env))),
        device(Napi::Persistent(DeviceWrap::define(env))) {
    DefineAddon(exports, {InstanceMethod<&Addon::info>("info"), InstanceMethod<&Addon::open_cpu>("openCpu"),
                          InstanceMethod<&Addon::open_cuda>("openCuda")});
  }

  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value open_cpu(const Napi::CallbackInfo& info);
  Napi::Value open_cuda(const Napi::CallbackInfo& info);

  Napi::FunctionReference session, generator, tokenizer, device;

  template <class Self>
  Napi::FunctionReference& constructor() {
    if constexpr (std::is_same_v<Self, SessionWrap>) return session;
    if constexpr (std::is_same_v<Self, GeneratorWrap>) return generator;
    if constexpr (std::is_same_v<Self, TokenizerWrap>) return tokenizer;
    if constexpr (std::is_same_v<Self, DeviceWrap>) return device;
  }
};

template <class Self, class T>
Napi::Value Wrap<Self, T>::wrap(Napi::Env env, std::shared_ptr<T> value, std::shared_ptr<DeviceState> device) {
  return env.GetInstanceData<Addon>()->constructor<Self>().New(
      {Napi::External<std::shared_ptr<T>>::New(env, &value),
       Napi::External<std::shared_ptr<DeviceState>>::New(env, &device)});
}

Napi::Value Addon::info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::vector<std::string> sets = cpu::instruction_sets();
  auto names = Napi::Array::New(env, sets.size());
  for (uint32_t i = 0; i < sets.size(); ++i) names.Set(i, sets[i]);
  const CudaDevices cuda = cuda_devices();
  auto devices = Napi::Array::New(env, cuda.devices.size());
  for (uint32_t i = 0; i < cuda.devices.size(); ++i) {
    auto device = Napi::Object::New(env);
    device.Set("name", cuda.devices[i].name);
    device.Set("capability", cuda.devices[i].capability);
    devices.Set(i, device);
  }
  auto result = Napi::Object::New(env);
  result.Set("cudaDevices", devices);
  result.Set("cudaReason", cuda.reason);
  result.Set("instructionSets", names);
  return result;
}

/// `open` makes the backend.
template <class Open>
Napi::Value open_device(Napi::Env env, int threads, const Open& open) {
  try {
    auto state = std::make_shared<DeviceState>();
    state->backend = open();
    state->queue = JobQueue::create(env);
    state->threads = threads;
    return DeviceWrap::wrap(env, state, state);
  } catch (const magnets::Error&) {
    throw to_js_error(env, std::current_exception());
  }
}

Napi::Value Addon::open_cpu(const Napi::CallbackInfo& info) {
  const int threads = info[0].As<Napi::Number>().Int32Value();
  const std::string instruction_set = info[1].ToString();
  return open_device(info.Env(), threads, [&] { return cpu::open_cpu(threads, instruction_set); });
}

Napi::Value Addon::open_cuda(const Napi::CallbackInfo& info) {
  const int index = info[0].As<Napi::Number>().Int32Value();
  const DType dtype = to_dtype(info[1]);
  return open_device(info.Env(), 1, [&] { return magnets::addon::open_cuda(index, dtype); });
}

/// The device as a session sees it: where sessions can run side by side, each has a thread that waits for it alone.
std::shared_ptr<DeviceState> device_of_session(Napi::Env env, const std::shared_ptr<DeviceState>& device) {
  if (!device->backend->concurrent()) return device;
  auto own = std::make_shared<DeviceState>(*device);
  own->queue = JobQueue::create(env);
  return own;
}

/// The weights argument: tensors by name (whose memory `keep` holds), or a seed.
std::unique_ptr<WeightSource> to_weights(const Napi::Object& weights) {
  if (weights.Get("seed").IsNumber()) {
    return std::make_unique<RandomWeights>(weights.Get("seed").As<Napi::Number>().Int64Value());
  }
  std::map<std::string, NamedWeights::Tensor> tensors;
  const Napi::Array names = weights.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).ToString();
    const Napi::Object tensor = weights.Get(name).As<Napi::Object>();
    const DType dtype = to_dtype(tensor.Get("dtype"));
    const auto data = tensor.Get("data").As<Napi::Uint8Array>();
    const size_t element = dtype == DType::f32 ? 4 : 2;
    tensors[name] = {data.Data(), dtype, data.ByteLength() / element};
  }
  return std::make_unique<NamedWeights>(std::move(tensors));
}

template <class ModelWrap, class Make>
Napi::Value DeviceWrap::load(const Napi::CallbackInfo& info, const Make& make) {
  const Napi::Env env = info.Env();
  const Napi::Object weights = info[1].As<Napi::Object>();
  std::shared_ptr<WeightSource> source = to_weights(weights);
  auto keep = std::make_shared<Napi::ObjectReference>(Napi::Persistent(weights));
  return queue(env).submit(env, [device = device(env), make, source, keep, dtype = to_dtype(info[2])]() -> Settle {
    auto model = make(*device, *source, dtype);
    return [device, model](Napi::Env env) { return ModelWrap::wrap(env, model, device); };
  });
}

Napi::Value DeviceWrap::measure_peak(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return queue(env).submit(env, [device = device(env)]() -> Settle {
    const double peak = device->backend->measure_peak();
    return [peak](Napi::Env env) { return Napi::Number::New(env, peak); };
  });
}

Napi::Value GeneratorWrap::open_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto object = info[0].As<Napi::Object>();
  SessionOptions options{
      .ids = to_vector<int32_t>(object.Get("ids")),
      .masked = to_vector<uint8_t>(object.Get("masked")),
      .class_ids = to_vector<int32_t>(object.Get("classIds")),
      .null_class_id = std::nullopt,
      .sample_keys = to_vector<int32_t>(object.Get("sampleKeys")),
      .seed = to_uint64(object, "seed"),
  };
  const int null_class_id = to_int(object, "nullClassId");
  if (null_class_id >= 0) options.null_class_id = null_class_id;
  const auto device = device_of_session(env, this->device(env));
  return device->queue->submit(env, [device, sessions = value(env), options]() -> Settle {
    auto session = sessions->open(options);
    return [device, session](Napi::Env env) { return SessionWrap::wrap(env, session, device); };
  });
}

Napi::Value GeneratorWrap::forward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto ids = to_vector<int32_t>(info[0]);
  auto class_ids = to_vector<int32_t>(info[1]);
  const Width width{info[2].As<Napi::Number>().Int32Value(), info[3].As<Napi::Number>().Int32Value()};
  return queue(env).submit(env, [sessions = value(env), ids, class_ids, width]() -> Settle {
    auto result = std::make_shared<ForwardResult>(magnets::forward(sessions->generator(), ids, class_ids, width));
    return [result](Napi::Env env) {
      auto object = Napi::Object::New(env);
      object.Set("logits", to_array(env, result->logits));
      object.Set("flops", to_object(env, result->flops));
      return object;
    };
  });
}

Napi::Value SessionWrap::step(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto object = info[0].As<Napi::Object>();
  const Step step{
      .width = {to_int(object, "heads"), to_int(object, "hidden")},
      .refresh = to_bool(object, "refresh"),
      .head_all = to_bool(object, "headAll"),
      .masked_after = to_vector<int32_t>(object.Get("maskedAfter")),
      .sampling =
          {
              .codebook_size = 0,  // the session knows these two
              .guided = false,
              .guidance = to_float(object, "guidance"),
              .temperature = to_float(object, "temperature"),
              .top_k = to_int(object, "topK"),
              .choice_temperature = to_float(object, "choiceTemperature"),
              .step = static_cast<uint32_t>(to_int(object, "step")),
          },
      .forced = object.Has("forced") ? to_vector<int32_t>(object.Get("forced")) : std::vector<int32_t>{},
  };
  const bool logits = to_bool(object, "logits"), read = to_bool(object, "read");
  return queue(env).submit(env, [session = value(env), step, read, logits]() -> Settle {
    const Flops before = session->flops();
    session->step(step);
    struct Result {
      std::vector<int32_t> ids;
      std::vector<uint8_t> masked;
      std::vector<float> logits;
      Flops flops;
    };
    auto result = std::make_shared<Result>();
    result->flops = session->flops() - before;
    if (read) result->ids = session->ids();
    if (read) result->masked = session->masked();
    if (logits) result->logits = session->logits();
    return [result, read, logits](Napi::Env env) {
      auto object = Napi::Object::New(env);
      object.Set("flops", to_object(env, result->flops));
      if (read) object.Set("ids", to_array(env, result->ids));
      if (read) object.Set("masked", to_array(env, result->masked));
      if (logits) object.Set("logits", to_array(env, result->logits));
      return object;
    };
  });
}

Napi::Value TokenizerWrap::encode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto pixels = std::make_shared<std::vector<float>>(to_vector<float>(info[0]));
  const int count = info[1].As<Napi::Number>().Int32Value();
  return queue(env).submit(env, [tokenizer = value(env), pixels, count]() -> Settle {
    Flops flops;
    auto tokens = tokenizer->encode(*pixels, count, flops);
    return [tokens, flops](Napi::Env env) {
      auto object = Napi::Object::New(env);
      object.Set("tokens", to_array(env, tokens));
      object.Set("flops", to_object(env, flops));
      return object;
    };
  });
}

Napi::Value TokenizerWrap::decode(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto tokens = to_vector<int32_t>(info[0]);
  const int count = info[1].As<Napi::Number>().Int32Value();
  return queue(env).submit(env, [tokenizer = value(env), tokens, count]() -> Settle {
    Flops flops;
    auto pixels = std::make_shared<std::vector<float>>(tokenizer->decode(tokens, count, flops));
    return [pixels, flops](Napi::Env env) {
      auto object = Napi::Object::New(env);
      object.Set("pixels", to_array(env, *pixels));
      object.Set("flops", to_object(env, flops));
      return object;
    };
  });
}

}  // namespace

NODE_API_ADDON(Addon)

}  // namespace magnets::addon
