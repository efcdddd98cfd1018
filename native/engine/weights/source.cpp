#include "source.h"

#include <cmath>

namespace magnets {

HostMatrix NamedWeights::get(const std::string& name, int rows, int columns) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw Error("ERR_CHECKPOINT", name + ": expected a tensor but it is missing");
  const Tensor& tensor = found->second;
  const size_t expected = static_cast<size_t>(rows) * columns;
  if (tensor.size != expected) {
    throw Error("ERR_CHECKPOINT", name + ": expected " + std::to_string(expected) + " elements but received " +
                                      std::to_string(tensor.size));
  }
  return {tensor.data, tensor.dtype, rows, columns};
}

HostMatrix RandomWeights::get(const std::string& name, int rows, int columns) {
  values_.resize(static_cast<size_t>(rows) * columns);
  if (name.ends_with("norm.weight") || name.ends_with("norm1.weight") || name.ends_with("norm2.weight")) {
    values_.assign(values_.size(), 1.0f);
  } else if (name.ends_with("bias")) {
    values_.assign(values_.size(), 0.0f);
  } else {
    uint64_t state = seed_;
    for (const char letter : name) state = (state ^ static_cast<unsigned char>(letter)) * 0x100000001b3;  // FNV-1a
    const float half_range = 0.02f * std::sqrt(3.0f);
    for (float& value : values_) {  // splitmix64 (Steele et al., OOPSLA 2014)
      uint64_t z = state += 0x9e3779b97f4a7c15;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      value = half_range * (static_cast<float>((z ^ (z >> 31)) >> 40) * 0x1p-23f - 1.0f);
    }
  }
  return {values_.data(), DType::f32, rows, columns};
}

}  // namespace magnets
