#include "values.h"

namespace magnets::addon {

namespace {

Napi::Number number(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsNumber()) throw Napi::TypeError::New(object.Env(), std::string("expected a number for ") + key);
  return value.As<Napi::Number>();
}

constexpr std::pair<const char*, ProductEnd> kProductEnds[] = {{"stores", ProductEnd::stores},
                                                               {"adds", ProductEnd::adds},
                                                               {"activates", ProductEnd::activates},
                                                               {"f32", ProductEnd::f32}};

}  // namespace

Napi::TypedArray new_array(Napi::Env env, napi_typedarray_type type, size_t size) {
  const char* name = type == napi_float32_array ? "Float32Array"
                     : type == napi_int32_array ? "Int32Array"
                                                : "Uint8Array";
  Napi::Value made;
  try {
    // Its constructor, because Node-API's own function ends the process where there is no memory.
    made = env.Global().Get(name).As<Napi::Function>().New({Napi::Number::New(env, static_cast<double>(size))});
  } catch (const Napi::Error&) {
    throw Error("ERR_OUT_OF_MEMORY",
                std::string("cannot make a ") + name + " of " + std::to_string(size) + " elements");
  }
  const auto array = made.As<Napi::TypedArray>();
  if (!made.IsTypedArray() || array.TypedArrayType() != type || array.ElementLength() != size) {
    throw Error("ERR_INTERNAL", std::string("the program has another ") + name + " than JavaScript's");
  }
  return array;
}

int to_int(const Napi::Object& object, const char* key) { return number(object, key).Int32Value(); }

float to_float(const Napi::Object& object, const char* key) { return number(object, key).FloatValue(); }

bool to_bool(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsBoolean()) throw Napi::TypeError::New(object.Env(), std::string("expected a boolean for ") + key);
  return value.As<Napi::Boolean>();
}

DType to_dtype(const Napi::Value& value) {
  return one_of<DType>(value, "a dtype of a file",
                       {{"F32", DType::f32}, {"F16", DType::f16}, {"BF16", DType::bf16}, {"I8", DType::i8}});
}

WeightFormat to_weight_format(const Napi::Value& value) {
  using Values = WeightFormat::Values;
  return {one_of<Values>(value, "a format of weights",
                         {{"f32", Values::f32}, {"f16", Values::f16}, {"bf16", Values::bf16}, {"int8", Values::int8}})};
}

ComputeType to_compute_type(const Napi::Value& value) {
  return one_of<ComputeType>(value, "a compute type",
                             {{"f32", ComputeType::f32}, {"f16", ComputeType::f16}, {"bf16", ComputeType::bf16}});
}

Confidence to_confidence(const Napi::Value& value) {
  return one_of<Confidence>(value, "a confidence",
                            {{"log-probability", Confidence::log_probability},
                             {"probability", Confidence::probability},
                             {"logit", Confidence::logit},
                             {"turn", Confidence::turn}});
}

std::vector<TileChoice> to_tile_choices(const Napi::Value& value) {
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), "expected an array of tiles");
  const auto list = value.As<Napi::Array>();
  std::vector<TileChoice> choices;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Value entry = list.Get(i);
    const auto choice = entry.ToObject();
    choices.push_back({.product = {.rows = to_int(choice, "rows"),
                                   .out = to_int(choice, "out"),
                                   .in = to_int(choice, "in"),
                                   .products = to_int(choice, "products"),
                                   .end = one_of<ProductEnd>(choice.Get("end"), "an end of a product", kProductEnds)},
                       .tile = {to_int(choice, "tileRows"), to_int(choice, "tileColumns")}});
  }
  return choices;
}

Napi::Object to_object(Napi::Env env, const Flops& flops) {
  auto object = Napi::Object::New(env);
  object.Set("projections", static_cast<double>(flops[Part::projections]));
  object.Set("attention", static_cast<double>(flops[Part::attention]));
  object.Set("mlp", static_cast<double>(flops[Part::mlp]));
  object.Set("lmHead", static_cast<double>(flops[Part::lm_head]));
  return object;
}

Napi::Object to_object(Napi::Env env, const Profile& profile) {
  auto object = Napi::Object::New(env);
  object.Set("projections", profile[Work::projections]);
  object.Set("attention", profile[Work::attention]);
  object.Set("mlp", profile[Work::mlp]);
  object.Set("lmHead", profile[Work::lm_head]);
  object.Set("norms", profile[Work::norms]);
  object.Set("rows", profile[Work::rows]);
  object.Set("sampling", profile[Work::sampling]);
  object.Set("session", profile[Work::session]);
  return object;
}

Napi::Array to_array(Napi::Env env, const std::vector<TensorShape>& tensors) {
  auto array = Napi::Array::New(env, tensors.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    auto shape = Napi::Array::New(env, tensors[i].shape.size());
    for (uint32_t axis = 0; axis < tensors[i].shape.size(); ++axis) shape.Set(axis, tensors[i].shape[axis]);
    auto tensor = Napi::Object::New(env);
    tensor.Set("name", tensors[i].name);
    tensor.Set("shape", shape);
    tensor.Set("grain", tensors[i].grain == Grain::any ? "any" : "fine");
    array.Set(i, tensor);
  }
  return array;
}

Napi::Array to_array(Napi::Env env, const std::vector<TileTiming>& timings) {
  auto array = Napi::Array::New(env, timings.size());
  for (uint32_t i = 0; i < timings.size(); ++i) {
    const auto& [product, tile, by_formula, seconds] = timings[i];
    const auto* end = std::find_if(std::begin(kProductEnds), std::end(kProductEnds),
                                   [&](const auto& known) { return known.second == product.end; });
    auto timing = Napi::Object::New(env);
    timing.Set("rows", product.rows);
    timing.Set("out", product.out);
    timing.Set("in", product.in);
    timing.Set("products", product.products);
    timing.Set("end", end->first);
    timing.Set("tileRows", tile.rows);
    timing.Set("tileColumns", tile.columns);
    timing.Set("byFormula", by_formula);
    auto samples = Napi::Array::New(env, seconds.size());
    for (uint32_t run = 0; run < seconds.size(); ++run) samples.Set(run, seconds[run]);
    timing.Set("samples", samples);
    array.Set(i, timing);
  }
  return array;
}

}  // namespace magnets::addon
