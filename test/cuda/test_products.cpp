// Every shape of kWgmmaShapes on every problem, whatever choose.cpp would take: each gives the bits of the first, and
// those are what the reference says.
#include <cuda_runtime.h>

#include <climits>
#include <cstring>
#include <memory>

#include "../../native/cuda/device.h"
#include "../../native/cuda/matmul/choose.h"
#include "../../native/cuda/memory.h"
#include "../native/check.h"
#include "precision.h"

namespace magnets::cuda {
struct bf16;  // of ptx.cuh, which is for device code
struct f16;
}  // namespace magnets::cuda

using namespace magnets;
using namespace magnets::cuda;
using namespace magnets::test;

namespace {

enum class Target { rows, cache, picture };

struct Case {
  int rows, out, in;
  Epilogue epilogue = Epilogue::store;
  Target target = Target::rows;
  bool f32 = false;
  bool norm = false;
};

// Rows and columns one short of a tile, one more than it, few; inputs of less than a step and of more than a ring.
constexpr Case kCases[] = {
    {3, 8, 8},
    {57, 65, 70},
    {55, 264, 130, Epilogue::gelu_tanh},
    {137, 129, 200, Epilogue::add},
    {260, 200, 72, Epilogue::add},
    {73, 264, 460, Epilogue::add},
    {104, 5, 64, Epilogue::add_scaled},
    {140, 136, 40, Epilogue::add_scaled},
    {177, 130, 64, Epilogue::multiply},
    {90, 72, 64, Epilogue::gelu},
    {90, 72, 64, Epilogue::silu},
    {58, 61, 136, Epilogue::store, Target::rows, true},
    {139, 301, 70, Epilogue::add, Target::rows, true},
    {70, 48, 80, Epilogue::store, Target::cache},
    {139, 192, 136, Epilogue::store, Target::cache},
    {84, 5, 16, Epilogue::store, Target::picture},
    {84, 130, 72, Epilogue::add, Target::picture},
    {84, 3, 16, Epilogue::store, Target::picture, true},
};
/// Norms of rows of one block and of several: boxes of 64 columns that are whole, that are not, that are missing.
constexpr Case kNormed[] = {
    {57, 65, 70, Epilogue::gelu_tanh, Target::rows, false, true},
    {140, 128, 40, Epilogue::add, Target::rows, false, true},
    {260, 201, 8, Epilogue::add, Target::rows, false, true},
    {73, 265, 130, Epilogue::add, Target::rows, false, true},
};
/// Clusters of eight, of 128 columns each.
constexpr Case kWide = {60, 1000, 64, Epilogue::add, Target::rows, false, true};
/// Again and again the same few slots of shared memory.
constexpr Case kLong = {420, 520, 72, Epilogue::add};

constexpr int kPositions = 80, kHeadDim = 16, kMoreHeads = 1, kMoreRows = 3, kMoreColumns = 11;
constexpr int kLines = 6, kColumns = 7;  // of a picture of 5 x 6, with its border

Activation activation_of(Epilogue epilogue) {
  if (epilogue == Epilogue::gelu) return Activation::gelu;
  if (epilogue == Epilogue::gelu_tanh) return Activation::gelu_tanh;
  return epilogue == Epilogue::silu ? Activation::silu : Activation::none;
}

/// Memory of the device and what it began with.
template <class T>
struct Array {
  Array(const std::shared_ptr<Device>& device, std::vector<T> values)
      : first(std::move(values)), device_(device), memory(device, first.size() * sizeof(T)) {
    reset();
  }
  void reset() { device_->upload(first.data(), first.size() * sizeof(T), memory.get()); }
  std::vector<T> read(cudaStream_t stream) const {
    std::vector<T> values(first.size());
    check(cudaMemcpyAsync(values.data(), memory.get(), values.size() * sizeof(T), cudaMemcpyDeviceToHost, stream),
          "downloading");
    check(cudaStreamSynchronize(stream), "running");
    return values;
  }
  std::vector<T> first;
  std::shared_ptr<Device> device_;
  DeviceMemory memory;
};

class Product {
 public:
  Product(const Subject& subject, const std::shared_ptr<Device>& device, const Case& c)
      : subject_(subject), c_(c), compute_(compute_of(subject)), random_(c.rows * 31 + c.out * 7 + c.in) {
    problem_.taps = c.target == Target::picture ? 9 : 1;
    problem_.products = c.target == Target::cache ? 3 : 1;
    problem_.rows = c.rows;
    problem_.x_rows = c.target == Target::picture ? c.rows + kColumns : c.rows;
    problem_.out = c.out;
    problem_.in = c.in;
    problem_.epilogue = c.epilogue;
    problem_.f32_out = c.f32;
    const int inputs = problem_.taps * c.in;
    for (int tap = 0; tap < problem_.taps; ++tap) problem_.tap_rows[tap] = tap / 3 * kColumns + tap % 3;
    if (c.target == Target::picture) problem_.picture = {kLines, kColumns, kLines - 1, kColumns - 1, 1, 0, 0};

    problem_.x_stride = padded(c.in);
    x_ = halves(device, problem_.x_rows, c.in, problem_.x_stride, 0);
    problem_.x = x_->memory.get();
    problem_.weight_stride = padded(inputs);
    problem_.y_stride = padded(c.out + kMoreColumns);
    const int heads = (c.out + kHeadDim - 1) / kHeadDim + kMoreHeads;
    const int in_cache = 3 * heads * kPositions * kHeadDim;  // three branches
    for (int i = 0; i < problem_.products; ++i) {
      // The full model's matrix has more rows, of which nothing may come out.
      weights_.push_back(halves(device, c.out, inputs, problem_.weight_stride, kMoreRows));
      std::vector<float> bias(c.out);
      for (float& value : bias) value = static_cast<float>(random_.value());
      biases_.push_back(std::make_unique<Array<float>>(device, bias));
      const int size = i > 0 ? in_cache : (c.rows + kMoreRows) * problem_.y_stride;
      if (c.f32) {
        std::vector<float> values(size);
        for (float& value : values) value = static_cast<float>(random_.value());
        f32_ = std::make_unique<Array<float>>(device, values);
      } else {
        y_.push_back(halves(device, 1, size, size, 0));
      }
      problem_.product[i] = {weights_[i]->memory.get(),
                             i == 1 ? nullptr : static_cast<const float*>(biases_[i]->memory.get()),
                             c.f32 ? f32_->memory.get() : y_[i]->memory.get()};
    }
    if (c.norm) {
      std::vector<float> weight(c.out), bias(c.out);
      for (float& value : weight) value = static_cast<float>(1 + 0.5 * random_.value());
      for (float& value : bias) value = static_cast<float>(random_.value());
      norm_weight_ = std::make_unique<Array<float>>(device, weight);
      norm_bias_ = std::make_unique<Array<float>>(device, bias);
      problem_.norm = {static_cast<const float*>(norm_weight_->memory.get()),
                       static_cast<const float*>(norm_bias_->memory.get()), 0.01f,
                       c.out % 2 == 0 ? NormKind::rms_norm : NormKind::layer_norm};
      // A large common mean: sums of the size of a few spacings of f16 around it, or all rounded to it.
      if (c.out % 3 == 0) {
        for (uint16_t& bits : y_[0]->first) bits = to_bits(1000 + 0.1f * from_bits(bits, compute_), compute_);
      }
    }
    if (c.target == Target::cache || c.epilogue == Epilogue::add_scaled) {
      std::vector<int> index(c.rows);  // ascending, with gaps
      for (int row = 0; row < c.rows; ++row) index[row] = row + row / 2;
      index_ = std::make_unique<Array<int>>(device, index);
      problem_.cache = {static_cast<const int*>(index_->memory.get()), kPositions, heads, kHeadDim};
      std::vector<float> scale(3 * (c.out + 1));
      for (float& value : scale) value = static_cast<float>(random_.value());
      scale_ = std::make_unique<Array<float>>(device, scale);
      problem_.scale = static_cast<const float*>(scale_->memory.get());
      problem_.scale_stride = c.out + 1;
    }
  }

  bool can(int shape) const { return !c_.norm || blocks_of_row(kWgmmaShapes[shape], problem_) <= kMostClusterBlocks; }

  /// Everything that the shape writes, and what lies around it; by few blocks, or clusters, so that each has several
  /// tiles.
  std::vector<float> run(int shape, int blocks, bool norm) {
    MatmulProblem problem = problem_;
    if (!norm) problem.norm = {};
    for (auto& y : y_) y->reset();
    if (f32_) f32_->reset();
    const WgmmaShape& own = kWgmmaShapes[shape];
    const WgmmaKernel kernel = compute_ == ComputeType::f16 ? wgmma_kernel<f16>(shape) : wgmma_kernel<bf16>(shape);
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel.function),
                               cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kernel.shared)),
          "reserving shared memory");
    cudaStream_t stream;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
    cudaLaunchConfig_t config{};
    const int cluster = norm ? blocks_of_row(own, problem) : 1;
    const int most = tiles_of(problem, own.rows(), own.columns()) / cluster;
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    config.attrs = &attribute;
    config.numAttrs = 1;
    config.gridDim = dim3(std::min(blocks, most) * cluster);
    config.blockDim = dim3(kernel.threads);
    config.dynamicSmemBytes = kernel.shared;
    config.stream = stream;
    check(cudaLaunchKernelEx(&config, kernel.function, wgmma_maps(own, problem, c_.out + kMoreRows, compute_), problem),
          "launching");
    std::vector<float> all;
    if (f32_) all = f32_->read(stream);
    for (auto& y : y_) {
      for (const uint16_t bits : y->read(stream)) all.push_back(from_bits(bits, compute_));
    }
    cudaStreamDestroy(stream);
    return all;
  }

  void compare(const std::vector<float>& actual, const std::string& what) const {
    std::vector<float> before;
    if (f32_) before = f32_->first;
    std::vector<size_t> begins;
    for (const auto& y : y_) {
      begins.push_back(before.size());
      for (const uint16_t bits : y->first) before.push_back(from_bits(bits, compute_));
    }
    if (f32_) begins.push_back(0);
    std::vector<bool> written(before.size());
    for (int i = 0; i < problem_.products; ++i) {
      for (int row = 0; row < c_.rows; ++row) {
        for (int column = 0; column < c_.out; ++column) {
          const long at = place_of(i, row, column);
          if (at < 0) continue;
          const size_t own = begins[i] + at;
          written[own] = true;
          compare_one(i, row, column, before[own], actual[own], what);
        }
      }
    }
    bool same = true;
    for (size_t i = 0; i < before.size(); ++i) same = same && (written[i] || actual[i] == before[i]);
    check(same, what + ": wrote beside its outputs");
  }

  /// `sums`: what the problem writes without its norm, to the bit what the norm reads.
  void compare_normed(const std::vector<float>& sums, const std::vector<float>& actual, const std::string& what) const {
    reference::Matrix x(c_.rows, c_.out);
    for (int row = 0; row < c_.rows; ++row) {
      for (int column = 0; column < c_.out; ++column) x.at(row, column) = sums[place_of(0, row, column)];
    }
    reference::NormValues norm{.weight = {norm_weight_->first.begin(), norm_weight_->first.end()},
                               .bias = {norm_bias_->first.begin(), norm_bias_->first.end()},
                               .epsilon = problem_.norm.epsilon,
                               .kind = problem_.norm.kind};
    const auto expected = reference::normalize(x, norm);
    for (int row = 0; row < c_.rows; ++row) {
      for (int column = 0; column < c_.out; ++column) {
        const double bound = norm_bound(x, norm, row, column) + subject_.roundoff(expected.at(row, column));
        check_near(actual[place_of(0, row, column)], expected.at(row, column), bound, what);
      }
    }
    bool same = true;
    for (size_t i = 0; i < sums.size(); ++i) {
      const bool own =
          i / problem_.y_stride < static_cast<size_t>(c_.rows) && i % problem_.y_stride < static_cast<size_t>(c_.out);
      same = same && (own || actual[i] == sums[i]);
    }
    check(same, what + ": wrote beside its outputs");
  }

 private:
  static ComputeType compute_of(const Subject& subject) {
    return subject.formats()[0].values == WeightFormat::Values::f16 ? ComputeType::f16 : ComputeType::bf16;
  }
  static void check(cudaError_t error, const char* what) { cuda::check(error, what); }
  static void check(bool condition, const std::string& what) { test::check(condition, what); }
  static int padded(int columns) { return (columns + 7) / 8 * 8; }

  /// Numbers in [-1, 1); NaN in the padding and in more rows.
  std::unique_ptr<Array<uint16_t>> halves(const std::shared_ptr<Device>& device, int rows, int columns, int stride,
                                          int more_rows) {
    std::vector<uint16_t> values(static_cast<size_t>(rows + more_rows) * stride, 0x7fff);
    for (int row = 0; row < rows; ++row) {
      for (int column = 0; column < columns; ++column) {
        values[static_cast<size_t>(row) * stride + column] = to_bits(static_cast<float>(random_.value()), compute_);
      }
    }
    return std::make_unique<Array<uint16_t>>(device, values);
  }

  /// Of an output in its product's memory; -1 where it goes nowhere.
  long place_of(int product, int row, int column) const {
    if (product > 0) {
      const long branch = index_->first[row] / kPositions, position = index_->first[row] % kPositions;
      return ((branch * problem_.cache.heads + column / kHeadDim) * kPositions + position) * kHeadDim +
             column % kHeadDim;
    }
    if (c_.target == Target::picture) {
      const int line = row / kColumns % kLines, pixel = row % kColumns;
      if (line == kLines - 1 || pixel == kColumns - 1) return -1;
      row = (row / kColumns / kLines * (kLines - 1) + line) * (kColumns - 1) + pixel;
    }
    return static_cast<long>(row) * problem_.y_stride + column;
  }

  void compare_one(int product, int row, int column, double old, double actual, const std::string& what) const {
    const auto value = [&](const Array<uint16_t>& array, size_t at) { return from_bits(array.first[at], compute_); };
    double sum = product == 1 ? 0 : biases_[product]->first[column], magnitude = std::abs(sum);
    for (int tap = 0; tap < problem_.taps; ++tap) {
      const int x_row = row + problem_.tap_rows[tap];
      for (int i = 0; i < c_.in && x_row < problem_.x_rows; ++i) {
        const double one =
            value(*x_, static_cast<size_t>(x_row) * problem_.x_stride + i) *
            value(*weights_[product], static_cast<size_t>(column) * problem_.weight_stride + tap * c_.in + i);
        sum += one;
        magnitude += std::abs(one);
      }
    }
    double bound = (problem_.taps * c_.in + 3) * kUnit * magnitude, factor = 1;
    const Activation activation = activation_of(c_.epilogue);
    if (activation != Activation::none) {
      const double error = activation == Activation::gelu_tanh ? kTanhError / 2 + 2e-7 : 2e-7;
      bound = 1.13 * bound + (error + 8 * kUnit) * magnitude;
    }
    if (c_.epilogue == Epilogue::add_scaled) {
      factor = scale_->first[index_->first[row] / kPositions * problem_.scale_stride + column];
    }
    if (c_.epilogue == Epilogue::multiply) factor = old;
    const bool adds = c_.epilogue == Epilogue::add || c_.epilogue == Epilogue::add_scaled;
    const double expected = reference::activate(activation, sum) * factor + (adds ? old : 0);
    bound = bound * std::abs(factor) + 2 * kUnit * std::abs(expected);
    if (!c_.f32) bound += subject_.roundoff(std::abs(expected) + bound);
    check_near(actual, expected, bound, what);
  }

  const Subject& subject_;
  Case c_;
  ComputeType compute_;
  Random random_;
  MatmulProblem problem_{};
  std::unique_ptr<Array<uint16_t>> x_;
  std::vector<std::unique_ptr<Array<uint16_t>>> weights_, y_;
  std::vector<std::unique_ptr<Array<float>>> biases_;
  std::unique_ptr<Array<float>> f32_, scale_, norm_weight_, norm_bias_;
  std::unique_ptr<Array<int>> index_;
};

void walk(const Subject& subject, const std::shared_ptr<Device>& device, const Case& c, int blocks) {
  Product product(subject, device, c);
  const std::string problem = subject.name() + " " + std::to_string(c.rows) + " x " + std::to_string(c.out) + " x " +
                              std::to_string(c.in) + ", epilogue " + std::to_string(static_cast<int>(c.epilogue));
  std::vector<float> first, sums;
  if (c.norm) sums = product.run(0, blocks, false);
  for (int shape = 0; shape < kWgmmaShapeCount; ++shape) {
    if (!product.can(shape)) continue;
    const std::string what = problem + ", tiles of " + std::to_string(kWgmmaShapes[shape].rows()) + " x " +
                             std::to_string(kWgmmaShapes[shape].columns());
    const std::vector<float> all = product.run(shape, blocks, c.norm);
    if (first.empty()) {
      first = all;
      c.norm ? product.compare_normed(sums, all, what) : product.compare(all, what);
    } else {
      bool same = all.size() == first.size();
      for (size_t i = 0; i < first.size() && same; ++i) same = std::memcmp(&all[i], &first[i], sizeof(float)) == 0;
      check(same, what + ": not the bits of the first shape");
    }
  }
}

}  // namespace

int main() {
  bool hopper = false;
  for (const auto& subject : subjects(Variety::devices)) {
    subject->open();  // the emulator is now the subject's device
    const auto device = std::make_shared<Device>(0, INT_MAX);
    if (device->capability() != 90) continue;
    hopper = true;
    int blocks = 1;
    for (const Case& c : kCases) walk(*subject, device, c, 1 + blocks++ % 3);
    for (const Case& c : kNormed) walk(*subject, device, c, 1 + blocks++ % 2);
    if (subject->watched()) continue;
    walk(*subject, device, kLong, 1);
    walk(*subject, device, kWide, 1);
  }
  if (!hopper) {
    std::printf("skipped: no device of compute capability 9.0\n");
    return 77;
  }
  return report("products");
}
