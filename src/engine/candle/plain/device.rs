//! Opening a GPU.

use candle_core::{Device, Result};

/// GPU number `n`, with one queue of work for all threads.
///
/// As candle opens it, every thread of this program would have a queue of its own, and nothing would order what the thread
/// that writes a checkpoint reads after what the trainer's thread computes. With one queue no events are needed either, of
/// which two would be made for every tensor.
#[cfg(feature = "cuda")]
pub(in super::super) fn open(n: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(n)?;
    let cuda = device.as_cuda_device()?;
    // SAFETY: there is a single stream, so everything happens in the order it was asked for.
    unsafe { cuda.disable_event_tracking() };
    keep_memory(cuda)?;
    Ok(device)
}

#[cfg(not(feature = "cuda"))]
pub(in super::super) fn open(n: usize) -> Result<Device> {
    Device::new_cuda(n)
}

/// Memory that is given back stays with this program. By default the driver takes it back whenever the host waits for the
/// device, which is at every token, and mapping it again takes longer than what is computed in it.
#[cfg(feature = "cuda")]
fn keep_memory(cuda: &candle_core::CudaDevice) -> Result<()> {
    use candle_core::cuda_backend::WrapErr;
    use candle_core::cuda_backend::cudarc::driver::{result, sys};

    let stream = cuda.cuda_stream();
    let context = stream.context();
    if !context.has_async_alloc() {
        return Ok(());
    }
    let mut most = u64::MAX;
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the context's device is open, and this attribute is a 64-bit number, which is read during the call.
    unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device()).w()?;
        result::mem_pool::set_attribute(pool, threshold, (&raw mut most).cast()).w()
    }
}

/// Bytes that the driver says are free on GPU number `n`.
#[cfg(feature = "cuda")]
pub(in super::super) fn free(n: usize) -> Option<u64> {
    let context = candle_core::cuda_backend::cudarc::driver::CudaContext::new(n).ok()?;
    context.mem_get_info().ok().map(|(free, _)| free as u64)
}

/// There is no GPU in a build without CUDA.
#[cfg(not(feature = "cuda"))]
pub(in super::super) fn free(_n: usize) -> Option<u64> {
    None
}
