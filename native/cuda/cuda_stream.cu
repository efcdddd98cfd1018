// A stream: copies, recordings and scratch memory. Its operations are in ops/.
#include <algorithm>

#include "cuda_stream.h"
#include "matmul/mma.h"

namespace magnets::cuda {

namespace {

/// copy(first, where, count) for the columns first .. + count that lie together, from element `where` of a row on.
template <class Copy>
void for_each_run(const CudaBuffer& buffer, int columns, const Copy& copy) {
  const int head_dim = buffer.head_dim(), run = head_dim == head_stride(head_dim) ? columns : head_dim;
  for (int first = 0; first < columns; first += run) {
    copy(first, spread(first, head_dim), std::min(run, columns - first));
  }
}

/// Plans come and go; what was recorded for those of long ago is let go.
constexpr size_t kMostRecordings = 256;

}  // namespace

CudaStream::CudaStream(std::shared_ptr<Device> device, std::shared_ptr<Registry> registry, ComputeType compute)
    : device_(std::move(device)),
      registry_(std::move(registry)),
      compute_(compute),
      // A product is split over less than two blocks a multiprocessor.
      partial_sums_(device_, sizeof(float) * 2 * device_->multiprocessors() * size_of(MmaTile::small).rows *
                                 size_of(MmaTile::small).columns) {
  device_->make_current();
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
  for (cudaEvent_t& event : ended_) {
    // Who waits for one sleeps meanwhile.
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync), "creating an event");
  }
}

CudaStream::~CudaStream() {
  cudaSetDevice(device_->index());
  cudaStreamSynchronize(stream_);  // nothing may run that uses memory which is freed next
  for (const cudaEvent_t event : ended_) cudaEventDestroy(event);
  cudaStreamDestroy(stream_);
}

void CudaStream::synchronize() {
  device_->make_current();
  check(cudaStreamSynchronize(stream_), "waiting for the device");
}

void CudaStream::replay(const StepShape& shape, const std::function<void(const StepShape&)>& body) {
  device_->make_current();
  auto found = recordings_.find(shape);
  if (found == recordings_.end()) {
    if (recordings_.size() >= kMostRecordings) {
      synchronize();
      recordings_.clear();
    }
    // Recording runs nothing, so it counts nothing; launching does.
    const Flops before = flops_;
    try {
      found = recordings_.try_emplace(shape, stream_, [&] { body(shape); }).first;
    } catch (...) {
      flops_ = before;
      throw;
    }
    found->second.flops = flops_ - before;
    flops_ = before;
  }
  const cudaEvent_t ended = ended_[next_ended_];
  next_ended_ = (next_ended_ + 1) % kMostUnderWay;
  check(cudaEventSynchronize(ended), "waiting for the device");
  found->second.graph.launch(stream_);
  check(cudaEventRecord(ended, stream_), "launching a graph");
  flops_ += found->second.flops;
}

void* CudaStream::scratch(size_t bytes) {
  if (bytes > scratch_bytes_) {
    scratch_.push_back(std::make_unique<DeviceMemory>(device_, bytes));
    scratch_bytes_ = bytes;
  }
  return scratch_.back()->get();
}

unsigned* CudaStream::tickets(int count) {
  const size_t bytes = count * sizeof(unsigned);
  if (tickets_.empty() || bytes > tickets_.back()->bytes()) {
    tickets_.push_back(std::make_unique<DeviceMemory>(device_, bytes));
    const std::vector<unsigned> zeros(count);
    device_->upload(zeros.data(), bytes, tickets_.back()->get());
  }
  return static_cast<unsigned*>(tickets_.back()->get());
}

void CudaStream::upload(const void* source, int rows, int columns, Buffer& target) {
  const CudaBuffer& to = cuda(target);
  std::vector<uint16_t> halves;
  if (to.type() == ElementType::activation) {
    const auto* values = static_cast<const float*>(source);
    halves.resize(static_cast<size_t>(rows) * columns);
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = to_bits(values[i], compute_);
    source = halves.data();
  }
  const size_t size = to.element_size();
  device_->make_current();
  for_each_run(to, columns, [&](int first, int where, int count) {
    check(cudaMemcpy2DAsync(to.as<char>() + where * size, to.stride() * size,
                            static_cast<const char*>(source) + first * size, columns * size, count * size, rows,
                            cudaMemcpyHostToDevice, stream_),
          "uploading");
  });
  synchronize();
}

void CudaStream::download(const Buffer& source, int rows, int columns, void* target) {
  const CudaBuffer& from = cuda(source);
  const bool converts = from.type() == ElementType::activation;
  std::vector<uint16_t> halves(converts ? static_cast<size_t>(rows) * columns : 0);
  auto* to = converts ? reinterpret_cast<char*>(halves.data()) : static_cast<char*>(target);
  const size_t size = from.element_size();
  device_->make_current();
  for_each_run(from, columns, [&](int first, int where, int count) {
    check(cudaMemcpy2DAsync(to + first * size, columns * size, from.as<char>() + where * size, from.stride() * size,
                            count * size, rows, cudaMemcpyDeviceToHost, stream_),
          "downloading");
  });
  synchronize();
  auto* values = static_cast<float*>(target);
  for (size_t i = 0; i < halves.size(); ++i) values[i] = from_bits(halves[i], compute_);
}

}  // namespace magnets::cuda
