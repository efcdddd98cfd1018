// What TMA has to know of a product's matrices.
#include "../tensor_map.h"
#include "wgmma.h"

namespace magnets::cuda {

static_assert(kMatmulStep == kBoxColumns);

WgmmaMaps wgmma_maps(const WgmmaShape& shape, const MatmulProblem& m, int weight_rows, ComputeType compute) {
  WgmmaMaps maps{};
  // Beyond its last input x is zeros, so it does not matter that the weights of the next tap are there.
  maps.x = matrix_map(m.x, m.x_rows, m.in, m.x_stride, shape.rows(), compute);
  for (int i = 0; i < m.products; ++i) {
    maps.weight[i] =
        matrix_map(m.product[i].weight, weight_rows, m.taps * m.in, m.weight_stride, shape.columns(), compute);
  }
  if (goes_by_boxes(m, 0)) {
    // A group's outputs: of the rows of a plain tile, of all rows of a swapped one.
    const int box_rows = shape.swapped ? shape.rows() : 64;
    maps.y = matrix_map(m.product[0].y, m.rows, m.out, m.y_stride, box_rows, compute);
  }
  return maps;
}

}  // namespace magnets::cuda
