// What TMA has to know of a product's matrices.
#include "../tensor_map.h"
#include "wgmma.h"

namespace magnets::cuda {

static_assert(kWgmmaStep == kBoxColumns);

WgmmaMaps wgmma_maps(const WgmmaKernel& kernel, const MatmulProblem& m, int weight_rows, ComputeType compute) {
  WgmmaMaps maps;
  // Beyond its last input x is zeros, so it does not matter that the weights of the next tap are there.
  maps.x = matrix_map(m.x, m.x_rows, m.in, m.x_stride, kWgmmaRows, compute);
  for (int i = 0; i < m.products; ++i) {
    maps.weight[i] =
        matrix_map(m.product[i].weight, weight_rows, m.taps * m.in, m.weight_stride, kernel.columns, compute);
  }
  return maps;
}

}  // namespace magnets::cuda
