#include "convert.h"

namespace magnets::addon {

namespace {

Napi::Number number(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) throw Napi::TypeError::New(object.Env(), std::string("expected a number for ") + key);
  return value.As<Napi::Number>();
}

TransformerConfig to_transformer_config(const Napi::Object& object, int layers, bool pre_norm) {
  TransformerConfig config{
      .layers = layers,
      .hidden_size = to_int(object, "hiddenSize"),
      .heads = to_int(object, "heads"),
      .head_dim = to_int(object, "headDim"),
      .intermediate_size = to_int(object, "intermediateSize"),
      .pre_norm = pre_norm,
      .gelu_tanh = to_bool(object, "geluTanh"),
      .layer_norm_eps = to_float(object, "layerNormEps"),
  };
  if (config.layers < 0 || config.hidden_size < 1 || config.heads < 1 || config.head_dim < 1 ||
      config.intermediate_size < 1) {
    throw Napi::RangeError::New(object.Env(), "expected positive sizes of a transformer");
  }
  return config;
}

}  // namespace

int to_int(const Napi::Object& object, const char* key) { return number(object, key).Int32Value(); }

uint64_t to_uint64(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBigInt()) throw Napi::TypeError::New(object.Env(), std::string("expected a bigint for ") + key);
  bool lossless = true;
  return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

float to_float(const Napi::Object& object, const char* key) { return number(object, key).FloatValue(); }

bool to_bool(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBoolean()) throw Napi::TypeError::New(object.Env(), std::string("expected a boolean for ") + key);
  return value.As<Napi::Boolean>();
}

Shape3 to_shape(const Napi::Object& object, const char* key) {
  const Napi::Object shape = object.Get(key).As<Napi::Object>();
  const auto extent = [&](uint32_t axis) {
    const int value = shape.Get(axis).As<Napi::Number>().Int32Value();
    if (value < 1) throw Napi::RangeError::New(object.Env(), std::string("expected positive extents for ") + key);
    return value;
  };
  return {extent(0), extent(1), extent(2)};
}

GeneratorConfig to_generator_config(const Napi::Object& object) {
  return {
      .transformer = to_transformer_config(object, to_int(object, "layers"), to_bool(object, "preNorm")),
      .codebook_size = to_int(object, "codebookSize"),
      .vocab_size = to_int(object, "vocabSize"),
      .tokens = to_int(object, "tokens"),
  };
}

TokenizerConfig to_tokenizer_config(const Napi::Object& object) {
  return {
      .encoder = to_transformer_config(object, to_int(object, "encoderLayers"), true),
      .decoder = to_transformer_config(object, to_int(object, "decoderLayers"), true),
      .codebook_size = to_int(object, "codebookSize"),
      .codebook_dim = to_int(object, "codebookDim"),
      .sample = to_shape(object, "sampleShape"),
      .patch = to_shape(object, "patchShape"),
      .channels = to_int(object, "channels"),
  };
}

DType to_dtype(const Napi::Value& value) {
  const std::string name = value.ToString();
  if (name == "f32" || name == "F32") return DType::f32;
  if (name == "bf16" || name == "BF16") return DType::bf16;
  if (name == "F16") return DType::f16;
  throw Napi::TypeError::New(value.Env(), "expected a dtype but received " + name);
}

Napi::Object to_object(Napi::Env env, const Flops& flops) {
  static constexpr const char* kNames[] = {"projections", "attention", "mlp", "head", "codec"};
  auto object = Napi::Object::New(env);
  for (size_t part = 0; part < flops.by_part.size(); ++part) {
    object.Set(kNames[part], static_cast<double>(flops.by_part[part]));
  }
  return object;
}

}  // namespace magnets::addon
