// Where weights come from: a checkpoint's tensors, or random numbers for benchmarks and tests.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../backend.h"

namespace magnets {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// The tensor `name`, [rows, columns] (a vector is [1, columns]); valid until the next call.
  /// Throws ERR_CHECKPOINT when it is missing or of another shape.
  virtual HostMatrix get(const std::string& name, int rows, int columns) = 0;
};

/// Tensors of a checkpoint, by name. The memory behind them is the caller's.
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
  std::map<std::string, Tensor> tensors_;
};

/// Uniform weights with standard deviation 0.02 (BERT's), unit LayerNorms, zero biases. The same seed gives the same
/// model on every machine.
class RandomWeights : public WeightSource {
 public:
  explicit RandomWeights(uint64_t seed) : state_(seed) {}
  HostMatrix get(const std::string& name, int rows, int columns) override;

 private:
  uint64_t state_;
  std::vector<float> values_;
};

/// Puts tensors on a backend, the weights of linear layers as `dtype`; its errors name the tensor.
class Loader {
 public:
  Loader(Backend& backend, WeightSource& source, DType dtype);
  Backend& backend() { return backend_; }

  /// `name`.weight [out, in] and `name`.bias [out].
  std::unique_ptr<Linear> linear(const std::string& name, int out, int in);
  /// A weight [out, in] with a bias of another name, or with none (empty).
  std::unique_ptr<Linear> linear(const std::string& weight, const std::string& bias, int out, int in);
  /// A matrix computed on the host.
  std::unique_ptr<Linear> linear(const std::vector<float>& weight, const std::vector<float>& bias, int out, int in);
  Norm norm(const std::string& name, int width, float epsilon);
  /// f32 [rows, columns].
  std::unique_ptr<Buffer> matrix(const std::string& name, int rows, int columns);
  /// The tensor as f32 on the host; not-finite values are refused.
  std::vector<float> host(const std::string& name, int rows, int columns);

 private:
  Backend& backend_;
  WeightSource& source_;
  DType dtype_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace magnets
