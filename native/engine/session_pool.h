// Sessions that ended wait here for the next batch of their size: its memory is there, and what a device recorded. They
// are few and small enough to be kept.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "session.h"

namespace magnets {

struct ForwardResult {
  std::vector<float> logits;  // [samples, N, columns]
  Flops flops;
};

class SessionPool : public std::enable_shared_from_this<SessionPool> {
 public:
  explicit SessionPool(std::shared_ptr<const Generator> generator) : generator_(std::move(generator)) {}

  const std::shared_ptr<const Generator>& generator() const { return generator_; }

  /// A session that has started with `options`; it comes back here when the last owner lets go, unless an
  /// operation of it has failed half way. Thread-safe.
  /// Throws what Session does.
  std::shared_ptr<Session> open(const SessionOptions& options);

  /// One pass over every row, nothing cached: what a plain masked transformer answers. ids: [samples, tokens].
  /// Thread-safe. Throws what Session does.
  ForwardResult forward(const std::vector<int32_t>& ids, const std::vector<int32_t>& class_ids, const Width& width);

  /// Frees the sessions that wait. Thread-safe.
  void drop_idle();
  /// Device memory of them. Thread-safe.
  size_t idle_bytes() const;

 private:
  std::unique_ptr<Session> take(int samples, bool guided);
  void keep(std::unique_ptr<Session> session) noexcept;
  size_t most_idle_bytes() const;

  std::shared_ptr<const Generator> generator_;
  mutable std::mutex mutex_;
  std::list<std::unique_ptr<Session>> idle_;  // the one that ended last comes first
};

}  // namespace magnets
