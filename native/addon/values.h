// JavaScript values to C++ and back. Arguments were checked in TypeScript; a wrong type here is an error, not a crash.
#pragma once

#include <napi.h>

#include <algorithm>
#include <string>
#include <vector>

#include "../backend.h"
#include "../engine/config.h"

namespace magnets::addon {

/// The typed array `value` as a vector. Throws a TypeError if its element type is another.
template <class T>
std::vector<T> to_vector(const Napi::Value& value) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().ElementSize() != sizeof(T)) {
    throw Napi::TypeError::New(value.Env(), "expected a typed array");
  }
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

/// A typed array with a copy of `values`.
template <class T>
Napi::TypedArrayOf<T> to_array(Napi::Env env, const std::vector<T>& values) {
  auto array = Napi::TypedArrayOf<T>::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

int to_int(const Napi::Object& object, const char* key);
uint64_t to_uint64(const Napi::Object& object, const char* key);  // from a BigInt
float to_float(const Napi::Object& object, const char* key);
bool to_bool(const Napi::Object& object, const char* key);
Shape3 to_shape(const Napi::Object& object, const char* key);
GeneratorConfig to_generator_config(const Napi::Object& object);
TokenizerConfig to_tokenizer_config(const Napi::Object& object);
DType to_dtype(const Napi::Value& value);

Napi::Object to_object(Napi::Env env, const Flops& flops);

}  // namespace magnets::addon
