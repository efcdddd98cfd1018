// The native module as lib/runtime/native.ts types it: what there is, devices, and the tensors of a config.
#include <napi.h>

#include "../cpu/cpu_backend.h"
#include "../engine/codec/make_codec.h"
#include "../ops/exceptions.h"
#include "configs.h"
#include "cuda_library.h"
#include "objects.h"
#include "values.h"

namespace magnets::addon {

namespace {

struct Addon : public Napi::Addon<Addon> {
  Addon(Napi::Env env, Napi::Object exports) : constructors(env) {
    prepare_exceptions();  // of the thread that JavaScript runs on
    DefineAddon(exports, {InstanceMethod<&Addon::info>("info"), InstanceMethod<&Addon::open_cpu>("openCpu"),
                          InstanceMethod<&Addon::open_cuda>("openCuda"),
                          InstanceMethod<&Addon::generator_tensors>("generatorTensors"),
                          InstanceMethod<&Addon::tokenizer_tensors>("tokenizerTensors")});
  }

  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value open_cpu(const Napi::CallbackInfo& info);
  Napi::Value open_cuda(const Napi::CallbackInfo& info);
  Napi::Value generator_tensors(const Napi::CallbackInfo& info);
  Napi::Value tokenizer_tensors(const Napi::CallbackInfo& info);

  Constructors constructors;
};

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
    device.Set("driver", cuda.devices[i].driver);
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
Napi::Value open_device(Napi::Env env, const Open& open) {
  return coded(env, [&] {
    auto state = std::make_shared<DeviceState>();
    state->queue = JobQueue::create(env);  // first: a backend can do with fewer threads, a queue without one cannot
    state->backend = open();
    state->queue->stop_at_end(state->backend);
    return DeviceObject::wrap(env, state, state);
  });
}

Napi::Value Addon::open_cpu(const Napi::CallbackInfo& info) {
  const int threads = info[0].ToNumber().Int32Value();
  const std::string instruction_set = info[1].ToString();
  return open_device(info.Env(), [&] { return cpu::open_cpu(threads, instruction_set); });
}

Napi::Value Addon::open_cuda(const Napi::CallbackInfo& info) {
  return open_device(info.Env(), [&] {
    const int index = info[0].ToNumber().Int32Value();
    return magnets::addon::open_cuda(index, to_compute_type(info[1]), to_tile_choices(info[2]));
  });
}

Napi::Value Addon::generator_tensors(const Napi::CallbackInfo& info) {
  return coded(info.Env(), [&] { return to_array(info.Env(), tensors_of<Generator>(to_generator_config(info[0]))); });
}

Napi::Value Addon::tokenizer_tensors(const Napi::CallbackInfo& info) {
  return coded(info.Env(), [&] { return to_array(info.Env(), codec_tensors(to_codec_config(info[0]))); });
}

}  // namespace

Constructors& constructors(Napi::Env env) { return env.GetInstanceData<Addon>()->constructors; }

NODE_API_ADDON(Addon)

}  // namespace magnets::addon
