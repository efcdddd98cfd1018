// The emulated runtime API. A stream is a queue that runs when somebody waits for it, so a missing wait shows; a copy
// to the host lands at the wait too (pinned memory's behaviour, which is the stricter one), one from the host reads at
// once where it is small (pageable memory is staged) and at the wait where it is large.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "cuda.h"
#include "cuda_runtime.h"

using Work = std::function<void()>;

struct EmulatedStream {
  std::vector<Work> queue;
  uint64_t done = 0;  // work that has run
  EmulatedGraph* capture = nullptr;
};

struct EmulatedEvent {
  EmulatedStream* stream = nullptr;  // null: never recorded
  uint64_t work = 0;                 // of the stream, before the event
};

struct EmulatedGraph {
  std::vector<Work> work;
};

namespace emulator {

size_t free_memory = size_t{1} << 34;

namespace {

constexpr int kSharedWithoutAsking = 48 << 10;
constexpr size_t kStaged = 64 << 10;
constexpr int kCacheBytes = 2 << 10;  // little, so that few copies of a matrix do not fit it

std::map<const void*, int>& allowed_shared = *new std::map<const void*, int>;
std::map<void*, size_t>& allocations = *new std::map<void*, size_t>;

/// Of a block, where it asks for it (CUDA C++ Programming Guide, "Compute Capabilities").
int most_shared() {
  if (device.major == 8) return (device.minor == 0 ? 163 : 99) << 10;
  return (device.major < 12 ? 227 : 99) << 10;
}

void enqueue(cudaStream_t stream, Work work) {
  (stream->capture != nullptr ? stream->capture->work : stream->queue).push_back(std::move(work));
}

void drain(cudaStream_t stream) {
  const std::vector<Work> queue = std::move(stream->queue);
  stream->queue.clear();
  stream->done += queue.size();
  for (const Work& work : queue) work();
}

CUresult encode(CUtensorMap* map, CUtensorMapDataType, cuuint32_t rank, void* base, const cuuint64_t* size,
                const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t*, CUtensorMapInterleave,
                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  bool valid = (rank == 2 || rank == 3) && reinterpret_cast<uintptr_t>(base) % 16 == 0 && box[0] * 2 <= 128 &&
               box[1] <= 256 && (rank == 2 || box[2] == 1) && swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  for (cuuint32_t i = 0; i < rank && valid; ++i) valid = size[i] > 0 && (i == 0 || strides[i - 1] % 16 == 0);
  if (!valid) return CUDA_ERROR_INVALID_VALUE;
  const bool stacked = rank == 3;
  *map = {static_cast<const unsigned char*>(base),
          static_cast<int>(rank),
          size[0],
          size[1],
          stacked ? size[2] : 1,
          strides[0],
          stacked ? strides[1] : 0,
          box[0],
          box[1]};
  return CUDA_SUCCESS;
}

}  // namespace

namespace {

int cluster_of(const cudaLaunchConfig_t& config) {
  int size = 1;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    if (config.attrs[i].id == cudaLaunchAttributeClusterDimension) {
      size = static_cast<int>(config.attrs[i].val.clusterDim.x);
    }
  }
  return size;
}

}  // namespace

/// One block on a multiprocessor.
int most_clusters(const cudaLaunchConfig_t& config) { return std::max(1, device.multiprocessors / cluster_of(config)); }

cudaError_t allow_shared(const void* kernel, int bytes) {
  if (bytes > most_shared()) return cudaErrorInvalidValue;
  allowed_shared[kernel] = bytes;
  return cudaSuccess;
}

cudaError_t enqueue_kernel(const cudaLaunchConfig_t& config, const void* kernel, Work body) {
  const auto allowed = allowed_shared.find(kernel);
  const size_t limit = allowed != allowed_shared.end() ? allowed->second : kSharedWithoutAsking;
  const dim3 grid = config.gridDim, block = config.blockDim;
  const size_t threads = size_t{block.x} * block.y * block.z;
  const bool valid = config.dynamicSmemBytes <= limit && threads > 0 && threads <= 1024 && grid.x > 0 && grid.y > 0 &&
                     grid.z > 0 && grid.y < 65536 && grid.z < 65536;
  const int cluster = cluster_of(config);
  const bool fits = cluster > 0 && cluster <= 8 && grid.x % cluster == 0;
  if (!valid || !fits) return cudaErrorInvalidValue;
  // Counted or not: a kernel that may overlap on some device is checked on each.
  const bool overlaps = config.attrs != nullptr && config.attrs->val.programmaticStreamSerializationAllowed != 0;
  const size_t shared = config.dynamicSmemBytes;
  enqueue(config.stream, [=] { run_grid(grid, block, cluster, shared, overlaps, body); });
  return cudaSuccess;
}

}  // namespace emulator

using namespace emulator;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    default:
      return "invalid argument";
  }
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int index) { return index == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "an emulated device");
  properties->major = device.major;
  properties->minor = device.minor;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (attribute == cudaDevAttrMultiProcessorCount) *value = device.multiprocessors;
  if (attribute == cudaDevAttrComputeCapabilityMajor) *value = device.major;
  if (attribute == cudaDevAttrComputeCapabilityMinor) *value = device.minor;
  if (attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin) *value = most_shared();
  if (attribute == cudaDevAttrMemoryPoolsSupported) *value = 1;
  if (attribute == cudaDevAttrL2CacheSize) *value = kCacheBytes;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = free_memory;
  *total = size_t{1} << 34;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) { return *pool = nullptr, cudaSuccess; }
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t) {
  if (bytes > free_memory || posix_memalign(memory, 256, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(*memory, 0xff, bytes);  // NaN
  free_memory -= bytes;
  allocations[*memory] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t) {
  const auto found = allocations.find(memory);
  if (found == allocations.end()) return cudaErrorInvalidValue;
  free_memory += found->second;
  allocations.erase(found);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (width > to_pitch || width > from_pitch) return cudaErrorInvalidValue;
  const auto copy = [=](const char* source) {
    for (size_t row = 0; row < height; ++row) {
      std::memcpy(static_cast<char*>(to) + row * to_pitch, source + row * from_pitch, width);
    }
  };
  const char* source = static_cast<const char*>(from);
  if (kind == cudaMemcpyHostToDevice && height > 0 && width * height <= kStaged) {
    const std::vector<char> staged(source, source + (height - 1) * from_pitch + width);
    enqueue(stream, [=] { copy(staged.data()); });
  } else {
    enqueue(stream, [=] { copy(source); });
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  enqueue(stream, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  drain(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->capture != nullptr) return cudaErrorInvalidValue;
  drain(stream);
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (stream->capture != nullptr) return cudaErrorInvalidValue;
  *event = {stream, stream->done + stream->queue.size()};
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream == nullptr || event->work <= event->stream->done) return cudaSuccess;
  // The rest of the queue stays: it has not been waited for.
  EmulatedStream& stream = *event->stream;
  const auto end = stream.queue.begin() + static_cast<ptrdiff_t>(event->work - stream.done);
  std::vector<Work> rest(std::make_move_iterator(end), std::make_move_iterator(stream.queue.end()));
  stream.queue.erase(end, stream.queue.end());
  drain(&stream);
  stream.queue = std::move(rest);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->capture = new EmulatedGraph;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capture;
  stream->capture = nullptr;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  ++counters.recordings;
  *executable = new EmulatedGraph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  ++counters.graph_launches;
  stream->queue.insert(stream->queue.end(), executable->work.begin(), executable->work.end());
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { return delete executable, cudaSuccess; }

cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  *function = reinterpret_cast<void*>(encode);
  *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}
