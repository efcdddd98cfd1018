// Where weights come from: a checkpoint's tensors, or random numbers for benchmarks and tests.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../../ops/types.h"

namespace magnets {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// The tensor `name`, [rows, columns] (a vector is [1, columns]); valid until the next call.
  /// Throws ERR_CHECKPOINT when it is missing or of another size.
  virtual HostMatrix get(const std::string& name, int rows, int columns) = 0;
  /// What messages call the tensor `name`.
  virtual std::string place(const std::string& name) const { return name; }
};

/// Tensors of a checkpoint's files, by name. Each is read when it is asked for: one at a time is in memory.
/// `name`.weight as i8 has its scales in the tensor `name`.scale.
class FileWeights : public WeightSource {
 public:
  struct Tensor {
    std::string path;   // UTF-8
    uint64_t position;  // of its first byte in the file
    DType dtype;
    size_t size;  // elements
  };
  explicit FileWeights(std::map<std::string, Tensor> tensors) : tensors_(std::move(tensors)) {}
  /// Also throws ERR_CHECKPOINT when a file cannot be read, or has become shorter.
  HostMatrix get(const std::string& name, int rows, int columns) override;
  /// Its file, then its name.
  std::string place(const std::string& name) const override;

 private:
  /// Memory for one tensor after the other.
  struct Room {
    std::unique_ptr<char[]> bytes;
    size_t size = 0;
  };
  const Tensor& find(const std::string& name, size_t size) const;
  const void* read(const Tensor& tensor, Room& room);

  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::ifstream> files_;
  Room values_, scales_;
};

/// Uniform weights with standard deviation 0.02 (BERT's), unit norms, zero biases. A tensor depends on the seed and its
/// name alone, so the same seed gives the same model on every machine.
class RandomWeights : public WeightSource {
 public:
  explicit RandomWeights(uint64_t seed) : seed_(seed) {}
  HostMatrix get(const std::string& name, int rows, int columns) override;

 private:
  uint64_t seed_;
  std::vector<float> values_;
};

}  // namespace magnets
