#include "weights.h"

#include <cmath>

#include "../convert.h"

namespace magnets {

namespace {

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

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
  if (ends_with(name, "norm.weight")) {
    values_.assign(values_.size(), 1.0f);
  } else if (ends_with(name, "bias")) {
    values_.assign(values_.size(), 0.0f);
  } else {
    const float half_range = 0.02f * std::sqrt(3.0f);
    for (float& value : values_) {  // splitmix64 (Steele et al., OOPSLA 2014)
      uint64_t z = state_ += 0x9e3779b97f4a7c15;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      value = half_range * (static_cast<float>((z ^ (z >> 31)) >> 40) * 0x1p-23f - 1.0f);
    }
  }
  return {values_.data(), DType::f32, rows, columns};
}

Loader::Loader(Backend& backend, WeightSource& source, DType dtype)
    : backend_(backend), source_(source), dtype_(dtype), stream_(backend.stream()) {}

std::vector<float> Loader::host(const std::string& name, int rows, int columns) {
  const HostMatrix tensor = source_.get(name, rows, columns);
  std::vector<float> values;
  values.reserve(static_cast<size_t>(rows) * columns);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) values.push_back(element(tensor, row, column));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      throw Error("ERR_CHECKPOINT", name + ": expected finite values but element " + std::to_string(i) + " is not");
    }
  }
  return values;
}

std::unique_ptr<Linear> Loader::linear(const std::string& name, int out, int in) {
  return linear(name + ".weight", name + ".bias", out, in);
}

std::unique_ptr<Linear> Loader::linear(const std::string& weight, const std::string& bias, int out, int in) {
  std::vector<float> bias_values;
  if (!bias.empty()) bias_values = host(bias, 1, out);
  const HostMatrix matrix = source_.get(weight, out, in);
  try {
    return backend_.linear(matrix, bias.empty() ? nullptr : bias_values.data(), dtype_);
  } catch (const Error& error) {
    throw Error(error.code, weight + ": " + error.what());
  }
}

std::unique_ptr<Linear> Loader::linear(const std::vector<float>& weight, const std::vector<float>& bias, int out,
                                       int in) {
  return backend_.linear({weight.data(), DType::f32, out, in}, bias.empty() ? nullptr : bias.data(), dtype_);
}

std::unique_ptr<Buffer> Loader::matrix(const std::string& name, int rows, int columns) {
  const std::vector<float> values = host(name, rows, columns);
  auto buffer = place(backend_, *stream_, ElementType::f32, rows, columns, values);
  stream_->synchronize();
  return buffer;
}

Norm Loader::norm(const std::string& name, int width, float epsilon) {
  return {matrix(name + ".weight", 1, width), matrix(name + ".bias", 1, width), epsilon};
}

}  // namespace magnets
