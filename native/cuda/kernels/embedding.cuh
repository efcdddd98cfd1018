// Token and position embeddings of the active rows, and the norm after them.
#include "cuda_stream.h"
#include "rows.cuh"

namespace magnets::cuda {

namespace {

struct Embedding {
  const void* words;  // or null
  int word_stride;
  const float* positions;
  int position_stride;
  const int *ids, *class_ids;  // class_ids may be null
  int ids_stride, samples;
  const int* row_index;
  int rows, sequence;  // S
  RowNorm norm;
  int width, x_stride;
  void* x;
};

template <class T>
__global__ void __launch_bounds__(kWarpsOfRows * 32) embed_kernel(const __grid_constant__ Embedding e) {
  wait_for_previous_grid();
  let_next_grid_start();
  const int row = row_of_warp();
  if (row >= e.rows) return;
  const int branch = e.row_index[row] / e.sequence, position = e.row_index[row] % e.sequence;
  const T* word = nullptr;
  if (e.words != nullptr) {
    const int* ids = e.ids + static_cast<size_t>(branch % e.samples) * e.ids_stride;
    const int id = e.class_ids == nullptr ? ids[position] : position == 0 ? e.class_ids[branch] : ids[position - 1];
    word = static_cast<const T*>(e.words) + static_cast<size_t>(id) * e.word_stride;
  }
  const float* place = e.positions + static_cast<size_t>(position) * e.position_stride;
  T* x = static_cast<T*>(e.x) + static_cast<size_t>(row) * e.x_stride;
  const auto load = [&](int first, float(&v)[8]) {
    load8(place + first, e.width - first, v);
    if (word == nullptr) return;
    float of_word[8];
    load8(word + first, of_word);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] += of_word[i];
  };
  write_row(load, e.norm, e.width, x);
}

}  // namespace

void CudaStream::embed(const Linear* words, const Buffer& positions, const Buffer* ids, const Buffer* class_ids,
                       int samples, const Rows& rows, const Norm* norm, int width, Buffer& x) {
  if (rows.count() == 0) return;
  const Embedding arguments{
      .words = words != nullptr ? cuda(*words).weight() : nullptr,
      .word_stride = words != nullptr ? cuda(*words).stride() : 0,
      .positions = cuda(positions).as<float>(),
      .position_stride = cuda(positions).stride(),
      .ids = ids != nullptr ? cuda(*ids).as<int>() : nullptr,
      .class_ids = class_ids != nullptr ? cuda(*class_ids).as<int>() : nullptr,
      .ids_stride = ids != nullptr ? cuda(*ids).stride() : 0,
      .samples = samples,
      .row_index = cuda(rows.index).as<int>(),
      .rows = rows.count(),
      .sequence = rows.positions,
      .norm = on_device(norm),
      .width = width,
      .x_stride = cuda(x).stride(),
      .x = cuda(x).as<void>(),
  };
  with_element([&]<class T>(T) {
    launch(embed_kernel<T>, grid_of(divide_up(rows.count(), kWarpsOfRows)), kWarpsOfRows * 32, 0, arguments);
  });
}

}  // namespace magnets::cuda
