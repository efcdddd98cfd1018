// A stream: copies, constants, and operations recorded as CUDA graphs.
#include <utility>

#include "../convert.h"
#include "cuda_stream.h"
#include "matmul_mma.h"

namespace magnets::cuda {

namespace {

/// Plans come and go; what was recorded for those of long ago is let go.
constexpr size_t kMostRecordings = 256;
constexpr size_t kMostConstants = 64;

}  // namespace

const int* Constants::get(const std::vector<int>& values) {
  auto& array = arrays_[values];
  if (!array) {
    const size_t bytes = values.size() * sizeof(int);
    array = std::make_unique<DeviceMemory>(device_, bytes);
    device_->upload(values.data(), bytes, array->get());
  }
  return static_cast<const int*>(array->get());
}

Recording::~Recording() {
  if (graph != nullptr) cudaGraphExecDestroy(graph);
}

CudaStream::CudaStream(std::shared_ptr<Device> device, DType dtype)
    : device_(std::move(device)),
      dtype_(dtype),
      constants_(device_),
      // A product is split over less than two blocks a multiprocessor.
      partial_sums_(device_, sizeof(float) * 2 * device_->multiprocessors() * size_of(MmaTile::small).rows *
                                 size_of(MmaTile::small).columns),
      tickets_(device_, sizeof(unsigned) * device_->multiprocessors()) {
  device_->make_current();
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
  const std::vector<unsigned> zeros(device_->multiprocessors());
  device_->upload(zeros.data(), zeros.size() * sizeof(unsigned), tickets_.get());
}

CudaStream::~CudaStream() {
  cudaSetDevice(device_->index());
  cudaStreamSynchronize(stream_);  // nothing may run that uses memory which is freed next
  cudaStreamDestroy(stream_);
}

void CudaStream::synchronize() {
  device_->make_current();
  check(cudaStreamSynchronize(stream_), "waiting for the device");
}

void CudaStream::replay(const std::string& key, const std::function<void()>& body) {
  device_->make_current();
  auto found = recordings_.find(key);
  if (found == recordings_.end()) {
    if (recordings_.size() >= kMostRecordings) {
      synchronize();
      recordings_.clear();
    }
    found = recordings_.try_emplace(key, device_).first;
    try {
      record(found->second, body);
    } catch (...) {
      recordings_.erase(found);
      throw;
    }
  }
  flops += found->second.flops;
  check(cudaGraphLaunch(found->second.graph, stream_), "launching a graph");
}

void CudaStream::record(Recording& recording, const std::function<void()>& body) {
  check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "recording");
  const Flops before = std::exchange(flops, Flops());
  recording_ = &recording;
  std::exception_ptr failure;
  try {
    body();
  } catch (...) {
    failure = std::current_exception();
  }
  recording_ = nullptr;
  recording.flops = std::exchange(flops, before);
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream_, &graph);
  if (failure == nullptr && ended == cudaSuccess) {
    const cudaError_t instantiated = cudaGraphInstantiate(&recording.graph, graph, 0);
    cudaGraphDestroy(graph);
    return check(instantiated, "instantiating a graph");
  }
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (failure != nullptr) std::rethrow_exception(failure);
  check(ended, "recording");
}

const int* CudaStream::constants(const std::vector<int>& values) {
  if (recording_ != nullptr) return recording_->constants.get(values);
  device_->make_current();
  if (constants_.size() >= kMostConstants) {
    synchronize();
    constants_.clear();
  }
  return constants_.get(values);
}

void CudaStream::upload(const void* source, int rows, int columns, Buffer& target) {
  const CudaBuffer& to = cuda(target);
  std::vector<uint16_t> halves;
  if (to.type() == ElementType::activation) {
    const auto* values = static_cast<const float*>(source);
    halves.resize(static_cast<size_t>(rows) * columns);
    for (size_t i = 0; i < halves.size(); ++i)
      halves[i] = dtype_ == DType::f16 ? to_f16(values[i]) : to_bf16(values[i]);
    source = halves.data();
  }
  const size_t width = columns * to.element_size();
  device_->make_current();
  check(cudaMemcpy2DAsync(to.as<void>(), to.stride() * to.element_size(), source, width, width, rows,
                          cudaMemcpyHostToDevice, stream_),
        "uploading");
  synchronize();
}

void CudaStream::download(const Buffer& source, int rows, int columns, void* target) {
  const CudaBuffer& from = cuda(source);
  const bool converts = from.type() == ElementType::activation;
  std::vector<uint16_t> halves(converts ? static_cast<size_t>(rows) * columns : 0);
  const size_t width = columns * from.element_size();
  device_->make_current();
  check(cudaMemcpy2DAsync(converts ? halves.data() : target, width, from.as<void>(),
                          from.stride() * from.element_size(), width, rows, cudaMemcpyDeviceToHost, stream_),
        "downloading");
  synchronize();
  auto* values = static_cast<float*>(target);
  for (size_t i = 0; i < halves.size(); ++i) {
    values[i] = dtype_ == DType::f16 ? from_f16(halves[i]) : from_bf16(halves[i]);
  }
}

}  // namespace magnets::cuda
