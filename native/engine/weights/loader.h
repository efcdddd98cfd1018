// How a model asks for its weights, by name and shape. Its constructor runs with either of two loaders: one puts
// tensors on a device, the other only lists and counts them. So every tensor is named once, where it is used.
#pragma once

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "../../ops/backend.h"
#include "source.h"

namespace magnets {

/// How finely a layer is kept: in the format that was asked for, which may be as coarse as bytes, or in its fine one.
enum class Grain { any, fine };

class Loader {
 public:
  virtual ~Loader() = default;

  /// `name`.weight [out, in] and, unless there is none, `name`.bias [out].
  std::unique_ptr<Linear> linear(const std::string& name, int out, int in, bool has_bias = true,
                                 Grain grain = Grain::fine, HeadDims heads = {}) {
    return linear(name + ".weight", has_bias ? name + ".bias" : "", out, in, grain, heads);
  }
  /// `name`.weight [size] and, unless there is none, `name`.bias [size].
  Norm norm(const std::string& name, int size, float epsilon, NormKind kind = NormKind::layer_norm,
            bool has_bias = true) {
    return {.weight = vector(name + ".weight", size),
            .bias = has_bias ? vector(name + ".bias", size) : nullptr,
            .epsilon = epsilon,
            .kind = kind};
  }

  /// A weight [out, in] and a bias [out] of another name, or none where that is empty.
  virtual std::unique_ptr<Linear> linear(const std::string& weight, const std::string& bias, int out, int in,
                                         Grain grain, HeadDims heads = {}) = 0;
  /// A weight [out, in] and a bias [out], or an empty one for none, that were computed from values() on the host.
  virtual std::unique_ptr<Linear> linear(const std::vector<float>& weight, const std::vector<float>& bias, int out,
                                         int in) = 0;
  /// `name`.weight [out, 3, 3, in] and `name`.bias [out] as the layer of a Convolution.
  virtual std::unique_ptr<Linear> convolution(const std::string& name, int out, int in, Resampling resampling) = 0;
  /// A tensor [entries, columns] as a table, and one that was computed on the host.
  virtual std::unique_ptr<Table> table(const std::string& name, int entries, int columns) = 0;
  virtual std::unique_ptr<Table> table(const std::vector<float>& values, int entries, int columns) = 0;
  /// A tensor [rows, columns], in f32 or in the type of activations, and one that was computed on the host.
  virtual std::unique_ptr<Buffer> matrix(const std::string& name, int rows, int columns, ElementType type) = 0;
  virtual std::unique_ptr<Buffer> matrix(const std::vector<float>& values, int rows, int columns, ElementType type) = 0;
  /// A tensor [size] in f32.
  virtual std::unique_ptr<Buffer> vector(const std::string& name, int size) = 0;
  /// A tensor [size] or [rows, columns] on the host; empty where tensors are only listed.
  virtual std::vector<float> values(const std::string& name, std::vector<int> shape) = 0;
  /// Device memory of all that was asked for.
  virtual size_t bytes() const = 0;
};

/// Puts tensors on a backend, linear layers of any grain in `format`, others and tables in its fine format. Values that
/// are not finite are refused with ERR_CHECKPOINT; errors name the tensor and, where there is one, its file.
class DeviceLoader : public Loader {
 public:
  DeviceLoader(Backend& backend, WeightSource& source, WeightFormat format);
  using Loader::linear;
  std::unique_ptr<Linear> linear(const std::string& weight, const std::string& bias, int out, int in, Grain grain,
                                 HeadDims heads) override;
  std::unique_ptr<Linear> linear(const std::vector<float>& weight, const std::vector<float>& bias, int out,
                                 int in) override;
  std::unique_ptr<Linear> convolution(const std::string& name, int out, int in, Resampling resampling) override;
  std::unique_ptr<Table> table(const std::string& name, int entries, int columns) override;
  std::unique_ptr<Table> table(const std::vector<float>& values, int entries, int columns) override;
  std::unique_ptr<Buffer> matrix(const std::string& name, int rows, int columns, ElementType type) override;
  std::unique_ptr<Buffer> matrix(const std::vector<float>& values, int rows, int columns, ElementType type) override;
  std::unique_ptr<Buffer> vector(const std::string& name, int size) override;
  std::vector<float> values(const std::string& name, std::vector<int> shape) override;
  size_t bytes() const override { return bytes_; }

 private:
  /// A tensor of the source, unless the backend has been told to stop.
  HostMatrix get(const std::string& name, int rows, int columns);
  template <class Weights>
  std::unique_ptr<Weights> counted(std::unique_ptr<Weights> weights) {
    bytes_ += weights->bytes();
    return weights;
  }

  Backend& backend_;
  WeightSource& source_;
  WeightFormat format_;
  std::unique_ptr<Stream> stream_;
  size_t bytes_ = 0;
};

/// A tensor of a checkpoint. One of any grain may be bytes there, with a scale for each row.
struct TensorShape {
  std::string name;
  std::vector<int> shape;
  Grain grain = Grain::fine;
};

/// Lists the tensors that a model asks for, each once, in the order of asking, and counts what they would take on a
/// device in `format`. What it gives the model holds nothing: memory can be measured with it, but nothing computed.
class ListingLoader : public Loader {
 public:
  explicit ListingLoader(WeightFormat format = {WeightFormat::Values::f32}) : format_(format) {}
  using Loader::linear;
  std::unique_ptr<Linear> linear(const std::string& weight, const std::string& bias, int out, int in, Grain grain,
                                 HeadDims heads) override;
  std::unique_ptr<Linear> linear(const std::vector<float>&, const std::vector<float>&, int, int) override;
  std::unique_ptr<Linear> convolution(const std::string& name, int out, int in, Resampling) override;
  std::unique_ptr<Table> table(const std::string& name, int entries, int columns) override;
  std::unique_ptr<Table> table(const std::vector<float>&, int, int) override;
  std::unique_ptr<Buffer> matrix(const std::string& name, int rows, int columns, ElementType) override;
  std::unique_ptr<Buffer> matrix(const std::vector<float>&, int, int, ElementType) override;
  std::unique_ptr<Buffer> vector(const std::string& name, int size) override;
  std::vector<float> values(const std::string& name, std::vector<int> shape) override;
  /// Without what a backend pads.
  size_t bytes() const override { return bytes_; }

  std::vector<TensorShape> take() { return std::move(tensors_); }

 private:
  void add(const std::string& name, std::vector<int> shape, Grain grain = Grain::fine);
  std::unique_ptr<Linear> counted_linear(int out, int in, Grain grain, bool has_bias);
  std::unique_ptr<Table> counted_table(int entries, int columns);
  std::unique_ptr<Buffer> counted_matrix(int rows, int columns);

  WeightFormat format_;
  size_t bytes_ = 0;
  std::vector<TensorShape> tensors_;
  std::unordered_set<std::string> names_;
};

/// A Generator or a codec with weights of `source`, kept in `format`. Throws what DeviceLoader does.
template <class Model, class Config>
std::shared_ptr<const Model> load_model(const std::shared_ptr<Backend>& backend, const Config& config,
                                        WeightSource& source, WeightFormat format) {
  DeviceLoader loader(*backend, source, format);
  return std::make_shared<const Model>(backend, config, loader);
}

/// Every tensor of such a model.
template <class Model, class Config>
std::vector<TensorShape> tensors_of(const Config& config) {
  ListingLoader listing;
  Model(nullptr, config, listing);
  return listing.take();
}

}  // namespace magnets
