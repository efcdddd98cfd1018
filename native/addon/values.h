// JavaScript values to C++ and back. Arguments were checked in TypeScript; a wrong type here is an error, not a crash.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "../engine/weights/loader.h"
#include "../ops/decode_ops.h"
#include "../ops/profile.h"
#include "../ops/tiles.h"

namespace magnets::addon {

template <class T>
constexpr napi_typedarray_type kArrayType = T::none;
template <>
inline constexpr napi_typedarray_type kArrayType<float> = napi_float32_array;
template <>
inline constexpr napi_typedarray_type kArrayType<int32_t> = napi_int32_array;
template <>
inline constexpr napi_typedarray_type kArrayType<uint8_t> = napi_uint8_array;
template <>
inline constexpr napi_typedarray_type kArrayType<uint64_t> = napi_biguint64_array;

/// The typed array `value` as a vector. Throws a TypeError if it is none of T.
template <class T>
std::vector<T> to_vector(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != kArrayType<T>) {
    throw Napi::TypeError::New(value.Env(), "expected a typed array of another type");
  }
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

/// A new typed array of `size` elements. Throws ERR_OUT_OF_MEMORY where there is no memory for it.
Napi::TypedArray new_array(Napi::Env env, napi_typedarray_type type, size_t size);

/// A typed array with a copy of `values`, in V8's own memory, because some programs accept no other (Electron).
template <class T>
Napi::TypedArrayOf<T> to_array(Napi::Env env, const std::vector<T>& values) {
  auto array = new_array(env, kArrayType<T>, values.size()).template As<Napi::TypedArrayOf<T>>();
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

/// The value of `object` under `key`. Throw a TypeError where it is missing or of another type.
int to_int(const Napi::Object& object, const char* key);
float to_float(const Napi::Object& object, const char* key);
bool to_bool(const Napi::Object& object, const char* key);

/// The result of the pair whose name is `value`; `what` says what is expected. Throws a TypeError for another name.
template <class T, size_t kCount>
T one_of(const Napi::Value& value, const char* what, const std::pair<const char*, T> (&pairs)[kCount]) {
  const std::string name = value.ToString();
  for (const auto& [known, result] : pairs) {
    if (name == known) return result;
  }
  throw Napi::TypeError::New(value.Env(), std::string("expected ") + what + " but received " + name);
}

DType to_dtype(const Napi::Value& value);                 // of a file's tensor: "F32", "F16", "BF16", "I8"
WeightFormat to_weight_format(const Napi::Value& value);  // "f32", "f16", "bf16", "int8"
ComputeType to_compute_type(const Napi::Value& value);    // "f32", "f16", "bf16"
Confidence to_confidence(const Napi::Value& value);       // "log-probability", "probability", "logit", "turn"

std::vector<TileChoice> to_tile_choices(const Napi::Value& value);

Napi::Object to_object(Napi::Env env, const Flops& flops);
Napi::Object to_object(Napi::Env env, const Profile& profile);                 // seconds
Napi::Array to_array(Napi::Env env, const std::vector<TensorShape>& tensors);  // [{ name, shape, grain }]
Napi::Array to_array(Napi::Env env, const std::vector<TileTiming>& timings);

}  // namespace magnets::addon
