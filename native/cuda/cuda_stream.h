// The operations of native/ops on a CUDA device. Each is launched by a file of its own in ops/.
#pragma once

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <ptx.cuh>
#include <vector>

#include "../ops/stream.h"
#include "device.h"
#include "graph.h"
#include "matmul/registry.h"
#include "memory.h"

namespace magnets::cuda {

inline dim3 grid_of(int x, int y = 1, int z = 1) {
  return dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z));
}

/// Rows of activations in device memory, as kernels read them.
struct RowsView {
  const void* first;
  int stride;  // elements
};

class CudaStream : public Stream {
 public:
  CudaStream(std::shared_ptr<Device> device, std::shared_ptr<Registry> registry, ComputeType compute);
  ~CudaStream() override;

  /// How long products of these shapes take in every tile that the registry may choose (ops/time_tiles.cu).
  std::vector<TileTiming> time_tiles(const std::vector<ProductShape>& shapes);

  void synchronize() override;
  void replay(const StepShape& shape, const std::function<void(const StepShape&)>& body) override;
  void upload(const void* source, int rows, int columns, Buffer& target) override;
  void download(const Buffer& source, int rows, int columns, void* target) override;
  void put(std::initializer_list<Put> puts) override;

 protected:
  void do_run(const Matmul& op) override;
  void do_run(const ProjectQkv& op) override;
  void do_run(const Attention& op) override;
  Input do_run(const Normalize& op) override;
  Input do_run(const Matmul& op, const Normalize& norm) override;
  void do_run(const ModulatedNorm& op) override;
  void do_run(const Gather& op) override;
  void do_run(const Lookup& op) override;
  void do_run(const ArgMax& op) override;
  void do_run(const Softmax& op) override;
  void do_run(const GroupStatistics& op) override;
  void do_run(const Rescale& op) override;
  void do_run(const Convolution& op) override;
  void do_run(const MeanPool& op) override;
  void do_run(const SelectRows& op) override;
  void do_run(const Embed& op) override;
  void do_run(const Sample& op) override;
  void do_run(const Reveal& op) override;
  void do_run(const SelectRows& op, const Embed& then) override;
  void do_run(const Sample& op, const Reveal& then) override;
  void do_run(const RevealGiven& op) override;

 private:
  /// Operations that were asked for once, and the FLOPs that they count.
  struct Recording {
    Recording(cudaStream_t stream, const std::function<void()>& body) : graph(stream, body) {}
    Graph graph;
    Flops flops;
  };

  /// Chooses a kernel for the problem, whose weights are in matrices like `weight`, and launches it. Returns whether
  /// that kernel applies the problem's norm.
  bool multiply(MatmulProblem& problem, const WeightMatrix& weight);
  bool multiply_by(const MatmulChoice& choice, MatmulProblem& problem, int weight_rows);
  /// `norm`: of the rows of y, or none. Returns whether it is applied.
  bool multiply(const Matmul& op, const Norm* norm);
  /// The queries and keys of a projection under QK norm, in place.
  void normalize_qk(const ProjectQkv& op);
  /// y[:rows, :columns] = x under the norm, activations both; y may be x.
  void normalize(RowsView x, const Norm& norm, int rows, int columns, RowsView y);
  /// The rows of `input` for a kernel that applies no norm: where there is one, normalized into scratch memory. They
  /// are there until the next call.
  RowsView normalized(const Input& input, int rows, int columns);
  /// Of a copy of x with zeros around the pictures, or of one that has all inputs of a place in a row.
  void convolve_bordered(const Convolution& op);
  void convolve_unfolded(const Convolution& op);
  /// Scratch memory of the stream, whose operations run one after the other and so can share it.
  void* scratch(size_t bytes);
  /// So many counters, 0 before and after a kernel, by which its blocks find out which of them is the last.
  unsigned* tickets(int count);

  /// kernel<<<grid, threads, shared>>>(arguments...), which may start before the grid before it has ended: every kernel
  /// calls wait_for_previous_grid before it touches what another one wrote.
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), dim3 grid, dim3 threads, size_t shared, Arguments... arguments) {
    configure(kernel, grid, 1, threads, shared, [&](const cudaLaunchConfig_t& config) {
      check(cudaLaunchKernelEx(&config, kernel, arguments...), "launching a kernel");
    });
  }

  /// Likewise in clusters of `size` blocks along x: `most` of them, or as many as the device runs at once.
  template <class... Parameters, class... Arguments>
  void launch_clusters(void (*kernel)(Parameters...), int most, int size, dim3 threads, size_t shared,
                       Arguments... arguments) {
    int at_once = 0;
    configure(kernel, grid_of(size), size, threads, shared, [&](const cudaLaunchConfig_t& config) {
      check(cudaOccupancyMaxActiveClusters(&at_once, kernel, &config), "counting clusters");
    });
    const dim3 grid = grid_of(std::max(1, std::min(most, at_once)) * size);
    configure(kernel, grid, size, threads, shared, [&](const cudaLaunchConfig_t& config) {
      check(cudaLaunchKernelEx(&config, kernel, arguments...), "launching a kernel");
    });
  }

  /// body(how to launch the kernel)
  template <class Kernel, class Body>
  void configure(Kernel* kernel, dim3 grid, int cluster, dim3 threads, size_t shared, const Body& body) {
    constexpr size_t kWithoutAsking = 48 << 10;
    if (shared > kWithoutAsking) {
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
            "reserving shared memory");
    }
    cudaLaunchAttribute attributes[2] = {};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = threads;
    config.dynamicSmemBytes = shared;
    config.stream = stream_;
    config.attrs = attributes;
    config.numAttrs = device_->capability() < 90 ? 0 : cluster > 1 ? 2 : 1;
    body(config);
  }

  /// body(T()) for the element type of this stream's activations: a template's argument from a value known at run time.
  template <class Body>
  void with_compute_type(const Body& body) const {
    if (compute_ == ComputeType::f16) {
      body(f16());
    } else {
      body(bf16());
    }
  }

  /// Replays that may be under way: one that runs and one that is ready when it ends. A further one waits, so that an
  /// aborted generation does not leave all its steps to the device.
  static constexpr int kMostUnderWay = 2;

  std::shared_ptr<Device> device_;
  std::shared_ptr<Registry> registry_;
  ComputeType compute_;
  cudaStream_t stream_ = nullptr;
  std::map<StepShape, Recording> recordings_;
  cudaEvent_t ended_[kMostUnderWay] = {};  // of the last replays, in turn
  int next_ended_ = 0;
  /// The last is in use; those before it are too small, but recordings refer to them.
  std::vector<std::unique_ptr<DeviceMemory>> scratch_;
  size_t scratch_bytes_ = 0;   // of the last
  DeviceMemory partial_sums_;  // f32, of matrix products that are split along their inputs
  /// u32, zeros between operations. Likewise the last is in use.
  std::vector<std::unique_ptr<DeviceMemory>> tickets_;
};

inline RowsView rows_of(const Buffer& buffer) { return {cuda(buffer).as<void>(), cuda(buffer).stride()}; }

}  // namespace magnets::cuda
