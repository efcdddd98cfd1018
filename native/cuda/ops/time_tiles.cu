// Times matrix products in every tile that may be chosen for them.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "../cuda_stream.h"

namespace magnets::cuda {

namespace {

constexpr int kTimedRuns = 5;
/// Products of one run: as many as have weights of their own, so that no cache has them from the run before.
constexpr int kFewestProducts = 2, kMostProducts = 256;

/// Elements of a row with what aligns the next.
size_t padded(int columns) { return round_up(columns, kRowAlignment / sizeof(uint16_t)); }

/// Memory for products of a list of shapes: numbers to multiply, and room for what comes out.
class ProductMemory {
 public:
  ProductMemory(const std::shared_ptr<Device>& device, ComputeType compute, const std::vector<ProductShape>& shapes)
      : operand_bytes_(bytes_of_operands(*device, shapes)),
        operands_(device, operand_bytes_),
        results_(device,
                 largest(shapes, [](const ProductShape& s) { return s.rows * padded(s.out) * s.products * 4; })),
        bias_(device, largest(shapes, [](const ProductShape& s) { return s.out * sizeof(float); })),
        index_(device, largest(shapes, [](const ProductShape& s) { return s.rows * sizeof(int); })) {
    // On zeros a device draws less power and runs faster.
    std::vector<uint16_t> values(std::min<size_t>(operand_bytes_, 4 << 20) / sizeof(uint16_t));
    uint32_t random = 1;
    for (uint16_t& value : values) {
      random = random * 1664525 + 1013904223;
      value = to_bits(static_cast<float>(random >> 8) * 0x1p-24f - 0.5f, compute);
    }
    for (size_t done = 0, all = values.size() * sizeof(uint16_t); done < operand_bytes_; done += all) {
      device->upload(values.data(), std::min(all, operand_bytes_ - done), static_cast<char*>(operands_.get()) + done);
    }
    std::vector<int> index(largest(shapes, [](const ProductShape& s) { return static_cast<size_t>(s.rows); }));
    std::iota(index.begin(), index.end(), 0);
    device->upload(index.data(), index.size() * sizeof(int), index_.get());
    const std::vector<float> zeros(largest(shapes, [](const ProductShape& s) { return static_cast<size_t>(s.out); }));
    device->upload(zeros.data(), zeros.size() * sizeof(float), bias_.get());
  }

  /// How many products have weights that the others do not read.
  int products_of(const ProductShape& shape) const {
    const size_t count = operand_bytes_ / (shape.products * bytes_of_weight(shape));
    return static_cast<int>(std::clamp<size_t>(count, kFewestProducts, kMostProducts));
  }

  /// The product with the weights of this number; every sequence is as long as there are rows.
  MatmulProblem problem(const ProductShape& shape, int number) const {
    MatmulProblem m = cuda::problem_of(shape);  // not that of a convolution
    const size_t weight_bytes = bytes_of_weight(shape);
    m.x = operands_.get();
    m.x_stride = m.weight_stride = static_cast<int>(padded(shape.in));
    m.y_stride = static_cast<int>(padded(shape.out));
    for (int i = 0; i < shape.products; ++i) {
      m.product[i] = {static_cast<char*>(operands_.get()) + (number * shape.products + i) * weight_bytes,
                      static_cast<const float*>(bias_.get()),
                      static_cast<char*>(results_.get()) + i * shape.rows * padded(shape.out) * sizeof(uint16_t)};
    }
    const int head_dim = shape.out % 64 == 0 ? 64 : 8;
    m.cache = {static_cast<const int*>(index_.get()), shape.rows, shape.out / head_dim, head_dim};
    return m;
  }

 private:
  static size_t bytes_of_weight(const ProductShape& s) { return s.out * padded(s.in) * sizeof(uint16_t); }

  template <class Size>
  static size_t largest(const std::vector<ProductShape>& shapes, const Size& size) {
    size_t most = 1;
    for (const ProductShape& shape : shapes) most = std::max(most, size(shape));
    return most;
  }

  /// Twice what the L2 cache holds, and enough for the weights of two products, and for x, of any shape.
  static size_t bytes_of_operands(const Device& device, const std::vector<ProductShape>& shapes) {
    return largest(shapes, [&](const ProductShape& s) {
      return std::max({2 * static_cast<size_t>(device.cache_bytes()), kFewestProducts * s.products * bytes_of_weight(s),
                       s.rows * padded(s.in) * sizeof(uint16_t)});
    });
  }

  size_t operand_bytes_;
  DeviceMemory operands_, results_, bias_, index_;
};

}  // namespace

std::vector<TileTiming> CudaStream::time_tiles(const std::vector<ProductShape>& shapes) {
  device_->make_current();
  const ProductMemory memory(device_, compute_, shapes);
  std::vector<TileTiming> timings;
  for (const ProductShape& shape : shapes) {
    const int products = memory.products_of(shape);
    const std::vector<MatmulChoice> choices = same_bits_as(registry_->by_formula(cuda::problem_of(shape)));
    std::vector<std::unique_ptr<Graph>> graphs;
    const size_t first = timings.size();
    for (const MatmulChoice& choice : choices) {
      graphs.push_back(std::make_unique<Graph>(stream_, [&] {
        for (int number = 0; number < products; ++number) {
          MatmulProblem problem = memory.problem(shape, number);
          multiply_by(choice, problem, shape.out);
        }
      }));
      timings.push_back({shape, tile_of(choice), graphs.size() == 1, {}});
    }
    // In turn, so that a drift of the clocks falls on all; the first run of each is not counted.
    for (int run = -1; run < kTimedRuns; ++run) {
      for (size_t i = 0; i < graphs.size(); ++i) {
        const auto started = std::chrono::steady_clock::now();
        graphs[i]->launch(stream_);
        synchronize();
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
        if (run >= 0) timings[first + i].seconds.push_back(elapsed.count() / products);
      }
    }
  }
  return timings;
}

}  // namespace magnets::cuda
