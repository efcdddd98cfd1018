#include "source.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace magnets {

const FileWeights::Tensor& FileWeights::find(const std::string& name, size_t size) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw Error("ERR_CHECKPOINT", name + ": expected a tensor but it is missing");
  const Tensor& tensor = found->second;
  if (tensor.size != size) {
    throw Error("ERR_CHECKPOINT",
                name + ": expected " + std::to_string(size) + " elements but received " + std::to_string(tensor.size));
  }
  return tensor;
}

const void* FileWeights::read(const Tensor& tensor, Room& room) {
  std::ifstream& file = files_[tensor.path];
  if (!file.is_open()) {
    const std::filesystem::path path(std::u8string(tensor.path.begin(), tensor.path.end()));
    std::error_code missing;
    // Before it is opened: to open a pipe waits for who writes to it.
    if (std::filesystem::is_regular_file(path, missing)) file.open(path, std::ios::binary);
    if (!file.is_open()) throw Error("ERR_CHECKPOINT", tensor.path + ": expected a readable file");
  }
  const size_t size = tensor.size * element_size(tensor.dtype);
  if (size > room.size) {
    room = {};  // before there is more
    room = {std::make_unique_for_overwrite<char[]>(size), size};
  }
  file.clear();  // of a failure before
  file.seekg(static_cast<std::streamoff>(tensor.position));
  file.read(room.bytes.get(), static_cast<std::streamsize>(size));
  if (!file) {
    throw Error("ERR_CHECKPOINT", tensor.path + ": expected " + std::to_string(size) + " bytes at " +
                                      std::to_string(tensor.position) + " but they cannot be read");
  }
  return room.bytes.get();
}

std::string FileWeights::place(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? name : found->second.path + ": " + name;
}

HostMatrix FileWeights::get(const std::string& name, int rows, int columns) {
  const Tensor& tensor = find(name, static_cast<size_t>(rows) * columns);
  const void* values = read(tensor, values_);
  if (tensor.dtype != DType::i8) return {values, tensor.dtype, rows, columns};
  const std::string scale_name = name.substr(0, name.rfind('.')) + ".scale";
  const Tensor& scales = find(scale_name, rows);
  if (scales.dtype != DType::f32) throw Error("ERR_CHECKPOINT", scale_name + ": expected F32");
  return {values, tensor.dtype, rows, columns, read(scales, scales_)};
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
