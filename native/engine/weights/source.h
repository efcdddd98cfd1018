// Where weights come from: a checkpoint's tensors, or random numbers for benchmarks and tests.
#pragma once

#include <map>
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
};

/// Tensors of a checkpoint, by name. The memory behind them is the caller's. `name`.weight as i8 has its scales in the
/// tensor `name`.scale.
class NamedWeights : public WeightSource {
 public:
  struct Tensor {
    const void* data;
    DType dtype;
    size_t size;  // elements
  };
  explicit NamedWeights(std::map<std::string, Tensor> tensors) : tensors_(std::move(tensors)) {}
  HostMatrix get(const std::string& name, int rows, int columns) override;

 private:
  const Tensor& find(const std::string& name, size_t size) const;

  std::map<std::string, Tensor> tensors_;
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
