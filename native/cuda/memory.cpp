#include "memory.h"

#include <cmath>
#include <string>
#include <vector>

#include "../ops/half.h"

namespace magnets::cuda {

namespace {

size_t size_of(ElementType type) {
  switch (type) {
    case ElementType::activation:
      return 2;
    case ElementType::u8:
      return 1;
    default:
      return 4;
  }
}

int stride_of(int columns, size_t element_size) {
  return static_cast<int>(round_up(columns * element_size, kRowAlignment) / element_size);
}

uint16_t rounded(const HostMatrix& matrix, int row, int column, ComputeType type) {
  const float value = element(matrix, row, column);
  const uint16_t bits = to_bits(value, type);
  if (!std::isfinite(from_bits(bits, type))) {
    std::string expected = "finite values";
    if (std::isfinite(value))
      expected = "values within the range of " + std::string(type == ComputeType::f16 ? "f16" : "bf16");
    throw Error("ERR_CHECKPOINT",
                "expected " + expected + " but [" + std::to_string(row) + ", " + std::to_string(column) + "] is not");
  }
  return bits;
}

}  // namespace

uint16_t to_bits(float value, ComputeType type) { return type == ComputeType::f16 ? to_f16(value) : to_bf16(value); }
float from_bits(uint16_t bits, ComputeType type) { return type == ComputeType::f16 ? from_f16(bits) : from_bf16(bits); }

CudaBuffer::CudaBuffer(const std::shared_ptr<Device>& device, ElementType type, int rows, int columns, int head_dim)
    : type_(type),
      element_size_(size_of(type)),
      stride_(stride_of(spread(columns, head_dim), element_size_)),
      head_dim_(head_dim),
      memory_(device, bytes_of(type, rows, columns, head_dim)) {}

void CudaBuffer::reshape(int columns) { stride_ = stride_of(columns, element_size_); }

size_t CudaBuffer::bytes_of(ElementType type, int rows, int columns, int head_dim) {
  const size_t size = size_of(type);
  return static_cast<size_t>(rows) * stride_of(spread(columns, head_dim), size) * size;
}

WeightMatrix::WeightMatrix(const std::shared_ptr<Device>& device, const HostMatrix& matrix, ComputeType type,
                           HeadDims heads)
    : rows_(spread(matrix.rows, heads.out)),
      stride_(stride_of(spread(matrix.columns, heads.in), sizeof(uint16_t))),
      memory_(device, static_cast<size_t>(rows_) * stride_ * sizeof(uint16_t)) {
  std::vector<uint16_t> values(static_cast<size_t>(rows_) * stride_);
  for (int row = 0; row < matrix.rows; ++row) {
    uint16_t* to = values.data() + static_cast<size_t>(spread(row, heads.out)) * stride_;
    for (int column = 0; column < matrix.columns; ++column) {
      to[spread(column, heads.in)] = rounded(matrix, row, column, type);
    }
  }
  device->upload(values.data(), values.size() * sizeof(uint16_t), memory_.get());
}

CudaLinear::CudaLinear(const std::shared_ptr<Device>& device, const HostMatrix& weight, const float* bias,
                       ComputeType type, HeadDims heads)
    : heads_(heads), weight_(device, weight, type, heads) {
  if (bias == nullptr) return;
  std::vector<float> values(weight_.rows());
  for (int row = 0; row < weight.rows; ++row) values[spread(row, heads.out)] = bias[row];
  bias_ = std::make_unique<DeviceMemory>(device, values.size() * sizeof(float));
  device->upload(values.data(), values.size() * sizeof(float), bias_->get());
}

CudaKvCache::CudaKvCache(const std::shared_ptr<Device>& device, int layers, int branches, int heads, int head_dim,
                         int positions)
    : heads_(heads),
      positions_(positions),
      layer_bytes_(layer_bytes_of(branches, heads, head_dim, positions)),
      keys_(device, layers * layer_bytes_),
      values_(device, layers * layer_bytes_) {}

}  // namespace magnets::cuda
