#include "session_pool.h"

#include <algorithm>
#include <new>

namespace magnets {

namespace {

/// They hold memory: enough for a caller that alternates between two sizes, or runs two batches at once.
constexpr size_t kMostIdle = 2;
/// Of all of them, in the host's memory or as a share of the device's own. A batch that needs more computes so long
/// that making its memory anew does not count.
constexpr size_t kMostIdleBytes = size_t{1} << 30, kShareOfDevice = 16;

bool is_out_of_memory(const std::exception& error) {
  const auto* coded = dynamic_cast<const Error*>(&error);
  return coded != nullptr ? coded->code == "ERR_OUT_OF_MEMORY" : dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
}

}  // namespace

size_t SessionPool::most_idle_bytes() const {
  const uint64_t own_memory = generator_->backend().own_memory();
  return own_memory > 0 ? own_memory / kShareOfDevice : kMostIdleBytes;
}

std::shared_ptr<Session> SessionPool::open(const SessionOptions& options) {
  const int samples = static_cast<int>(options.class_ids.size());
  const bool guided = options.null_class_id.has_value();
  std::unique_ptr<Session> session = take(samples, guided);
  if (!session) {
    if (Session::bytes_of(generator_, samples, guided) > most_idle_bytes()) drop_idle();  // it may need all there is
    const auto make = [&] { return std::make_unique<Session>(generator_, samples, guided); };
    try {
      session = make();
    } catch (const std::exception& error) {
      if (!is_out_of_memory(error)) throw;
      drop_idle();
      session = make();
    }
  }
  session->start(options);
  // The deleter hands the session back instead of freeing it.
  return {session.release(), [pool = weak_from_this()](Session* ended) {
            std::unique_ptr<Session> own(ended);
            if (!own->usable()) return;
            if (const auto alive = pool.lock()) alive->keep(std::move(own));
          }};
}

ForwardResult SessionPool::forward(const std::vector<int32_t>& ids, const std::vector<int32_t>& class_ids,
                                   const Width& width) {
  const size_t columns = generator_->config().logits_columns();
  const size_t row = generator_->config().token_count * columns;
  const size_t samples = class_ids.size();
  const std::shared_ptr<Session> session = open({.ids = ids,
                                                 .masked = std::vector<uint8_t>(ids.size(), 1),
                                                 .turns = {},
                                                 .class_ids = class_ids,
                                                 .null_class_id = std::nullopt,
                                                 .sample_numbers = std::vector<int32_t>(samples),
                                                 .seeds = std::vector<uint64_t>(samples)});
  session->compute(width, true, true);
  std::vector<float> logits = session->logits();
  for (size_t sample = 0; sample < samples; ++sample) {  // leave out the class token's row
    const auto from = logits.begin() + sample * (row + columns) + columns;
    std::copy_n(from, row, logits.begin() + sample * row);
  }
  logits.resize(samples * row);
  return {std::move(logits), session->flops()};
}

std::unique_ptr<Session> SessionPool::take(int samples, bool guided) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const auto& session) {
    return session->samples() == samples && session->guided() == guided;
  });
  if (found == idle_.end()) return nullptr;
  std::unique_ptr<Session> session = std::move(*found);
  idle_.erase(found);
  return session;
}

void SessionPool::keep(std::unique_ptr<Session> session) noexcept {
  std::list<std::unique_ptr<Session>> own, dropped;  // what is dropped is freed without the lock
  try {
    own.push_back(std::move(session));
  } catch (const std::bad_alloc&) {
    return;  // then it is freed
  }
  const std::lock_guard lock(mutex_);
  idle_.splice(idle_.begin(), own);
  const size_t most = most_idle_bytes();
  size_t count = 0, bytes = 0;
  for (auto next = idle_.begin(); next != idle_.end();) {
    const auto waiting = next++;
    const bool fits = count < kMostIdle && bytes + (*waiting)->bytes() <= most;
    if (!fits) {
      dropped.splice(dropped.begin(), idle_, waiting);
      continue;
    }
    ++count;
    bytes += (*waiting)->bytes();
  }
}

size_t SessionPool::idle_bytes() const {
  const std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const auto& session : idle_) bytes += session->bytes();
  return bytes;
}

void SessionPool::drop_idle() {
  std::list<std::unique_ptr<Session>> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(idle_);
}

}  // namespace magnets
