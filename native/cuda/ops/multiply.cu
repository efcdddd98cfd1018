// Launches a matrix product: Matmul and ProjectQkv.
#include <algorithm>

#include "../cuda_stream.h"
#include "../matmul/registry.h"

namespace magnets::cuda {

void CudaStream::multiply(MatmulProblem& problem, const WeightMatrix& weight) {
  multiply_by(registry_->choose(problem), problem, weight.rows());
}

void CudaStream::multiply_by(const MatmulChoice& choice, MatmulProblem& problem, int weight_rows) {
  problem.partial_sums = static_cast<float*>(partial_sums_.get());
  problem.tickets = static_cast<unsigned*>(tickets_.get());

  with_compute_type([&]<class T>(T) {
    if (const auto* wgmma = std::get_if<WgmmaChoice>(&choice)) {
      problem.splits = 1;
      const WgmmaShape& shape = kWgmmaShapes[wgmma->shape];
      const WgmmaKernel kernel = wgmma_kernel<T>(wgmma->shape);
      const int tiles = tiles_of(problem, shape.rows(), shape.columns());
      launch(kernel.function, grid_of(std::min(tiles, device_->multiprocessors() * shape.resident)), kernel.threads,
             kernel.shared, wgmma_maps(shape, problem, weight_rows, compute_), problem);
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
}

}  // namespace magnets::cuda
