"""Addresses of volumes, uploads and images, below `/storage/`."""

from django.urls import path

from storage import image_views, upload_views, volume_views

_VOLUME = "pools/<str:host>/<str:pool>/volumes/<str:name>/"

urlpatterns = [
    path("volumes/", volume_views.find, name="volume-find"),
    path("pools/<str:host>/<str:pool>/create-volume/", volume_views.create, name="volume-create"),
    path("pools/<str:host>/<str:pool>/upload-volume/", upload_views.begin, name="volume-upload"),
    path(_VOLUME, volume_views.volume, name="volume"),
    path(f"{_VOLUME}clone/", volume_views.clone, name="volume-clone"),
    path(f"{_VOLUME}resize/", volume_views.resize, name="volume-resize"),
    path(f"{_VOLUME}wipe/", volume_views.wipe, name="volume-wipe"),
    path(f"{_VOLUME}delete/", volume_views.delete, name="volume-delete"),
    path(f"{_VOLUME}download/", upload_views.download, name="volume-download"),
    path(f"{_VOLUME}image/", image_views.add, name="image-add"),
    path("uploads/<uuid:pk>/", upload_views.upload, name="upload"),
    path("uploads/<uuid:pk>/state/", upload_views.state, name="upload-state"),
    path("uploads/<uuid:pk>/ticket/", upload_views.ticket, name="upload-ticket"),
    path("images/", image_views.library, name="images"),
    path("images/upload/", upload_views.begin_image, name="image-upload"),
    path("images/<int:pk>/copy/", image_views.copy, name="image-copy"),
    path("images/<int:pk>/remove/", image_views.remove, name="image-remove"),
    path("images/copies/<int:pk>/verify/", image_views.verify, name="image-verify"),
]
