"""Pictures → boxes and masks: detectors and segmenters by description, and regions of a feature map without weights."""
