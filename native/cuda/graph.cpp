#include "graph.h"

#include <exception>

#include "device.h"

namespace magnets::cuda {

Graph::Graph(cudaStream_t stream, const std::function<void()>& body) {
  // Relaxed: other streams, and this thread, may allocate meanwhile.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "recording");
  std::exception_ptr failure;
  try {
    body();
  } catch (...) {
    failure = std::current_exception();  // the recording is ended first
  }
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
  cudaError_t instantiated = cudaSuccess;
  if (failure == nullptr && ended == cudaSuccess) instantiated = cudaGraphInstantiate(&executable_, graph, 0);
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (failure != nullptr) std::rethrow_exception(failure);
  check(ended, "recording");
  check(instantiated, "instantiating a graph");
}

Graph::~Graph() { cudaGraphExecDestroy(executable_); }

void Graph::launch(cudaStream_t stream) const { check(cudaGraphLaunch(executable_, stream), "launching a graph"); }

}  // namespace magnets::cuda
