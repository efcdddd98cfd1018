#include <algorithm>

#include "cpu_stream.h"
#include "multiply.h"

namespace magnets::cpu {

void CpuStream::do_run(const ProjectQkv& op) {
  const int count = op.rows.count;
  const int head_dim = op.head_dim;
  const int inner = op.heads * head_dim;
  const InputRows x = normalized(op.x, count, op.in);
  // Keys and values, before they go into the cache.
  const size_t stride = activation_stride(inner);
  float* keys = projected_.get<float>(2 * count * stride);
  float* values = keys + count * stride;
  const MatrixProduct products[] = {{&cpu(op.query), cpu(op.q).row<float>(0), cpu(op.q).stride()},
                                    {&cpu(op.key), keys, stride},
                                    {&cpu(op.value), values, stride}};
  multiply(kernels_, *pool_, products, inner, op.in, x.first, x.stride, count, {}, products_);

  const CpuKvCache& store = cpu(op.cache);
  const int32_t* index = cpu(op.rows.index).row<int32_t>(0);
  over_rows(count, [&](int first, int last) {
    for (int row = first; row < last; ++row) {
      if (op.qk_norm_epsilon) {
        for (float* values : {cpu(op.q).row<float>(row), keys + row * stride}) {
          kernels_.rms_norm(values, nullptr, nullptr, *op.qk_norm_epsilon, inner, values);
        }
      }
      const int branch = index[row] / op.rows.positions;
      const int position = index[row] % op.rows.positions;
      for (int head = 0; head < op.heads; ++head) {
        const float* k = keys + row * stride + head * head_dim;
        const float* v = values + row * stride + head * head_dim;
        float* to_k = store.keys(op.layer, branch, head) + static_cast<size_t>(position / kPanel) * head_dim * kPanel +
                      position % kPanel;
        float* to_v = store.values(op.layer, branch, head) + static_cast<size_t>(position) * kPanel;
        for (int i = 0; i < head_dim; ++i) to_k[static_cast<size_t>(i) * kPanel] = k[i];
        for (int i = 0; i < head_dim; i += kPanel, to_v += store.value_panel()) {
          std::copy_n(v + i, std::min(kPanel, head_dim - i), to_v);
        }
      }
    }
  });
}

}  // namespace magnets::cpu
