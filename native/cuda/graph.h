// Operations recorded as a CUDA graph, which repeats them without asking again.
#pragma once

#include <cuda_runtime.h>

#include <functional>

namespace magnets::cuda {

class Graph {
 public:
  /// Records what `body` asks of `stream`; none of it runs yet. Throws what `body` throws, the stream unharmed.
  Graph(cudaStream_t stream, const std::function<void()>& body);
  ~Graph();
  Graph(const Graph&) = delete;

  void launch(cudaStream_t stream) const;

 private:
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace magnets::cuda
