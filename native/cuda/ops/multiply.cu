// Launches a matrix product: Matmul and ProjectQkv.
#include <algorithm>

#include "../cuda_stream.h"
#include "../matmul/registry.h"

namespace magnets::cuda {

bool CudaStream::multiply(MatmulProblem& problem, const WeightMatrix& weight) {
  return multiply_by(registry_->choose(problem), problem, weight.rows());
}

bool CudaStream::multiply_by(const MatmulChoice& choice, MatmulProblem& problem, int weight_rows) {
  problem.partial_sums = static_cast<float*>(partial_sums_.get());
  problem.tickets = tickets(device_->multiprocessors());

  const auto* wgmma = std::get_if<WgmmaChoice>(&choice);
  const bool normalizes = wgmma != nullptr && wgmma->normalizes;
  if (!normalizes) problem.norm = {};
  with_compute_type([&]<class T>(T) {
    if (wgmma != nullptr) {
      problem.splits = 1;
      const WgmmaShape& shape = kWgmmaShapes[wgmma->shape];
      const WgmmaKernel kernel = wgmma_kernel<T>(wgmma->shape);
      const WgmmaMaps maps = wgmma_maps(shape, problem, weight_rows, compute_);
      if (normalizes) {
        launch_clusters(kernel.function, divide_up(problem.rows, shape.rows()), blocks_of_row(shape, problem),
                        kernel.threads, kernel.shared, maps, problem);
        return;
      }
      const int tiles = tiles_of(problem, shape.rows(), shape.columns());
      launch(kernel.function, grid_of(std::min(tiles, device_->multiprocessors() * shape.resident)), kernel.threads,
             kernel.shared, maps, problem);
    } else {
      const auto& mma = std::get<MmaChoice>(choice);
      problem.splits = mma.splits;
      const MmaKernel kernel = mma_kernel<T>(mma.tile);
      const TileSize size = size_of(mma.tile);
      launch(kernel.function,
             grid_of(divide_up(problem.out, size.columns), divide_up(problem.rows, size.rows),
                     problem.products * mma.splits),
             kernel.threads, kernel.shared, problem);
    }
  });
  return normalizes;
}

}  // namespace magnets::cuda
