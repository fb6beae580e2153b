"""The words around the documentation of the interfaces. The services describe themselves in English."""

WORDS = {
    "docs.title": ("Dokumentasi API", "API documentation"),
    "docs.lead": (
        "Semua yang ditawarkan layanan lewat HTTP, dari dokumen OpenAPI mereka sendiri. Uraiannya berbahasa Inggris.",
        "Everything that the services offer over HTTP, out of their own OpenAPI documents.",
    ),
    "docs.ways": ("Empat cara, sebagai permintaan", "The four ways, as requests"),
    "docs.way.app": ("Lewat aplikasi", "In the app"),
    "docs.way.web": ("Lewat situs web", "On the website"),
    "docs.way.chat": ("Chat dengan penjual", "Chat with the seller"),
    "docs.way.cs": ("Layanan pelanggan", "Customer service"),
    "docs.services": ("Layanan", "Services"),
    "docs.all": ("Semua layanan", "All services"),
    "docs.away": ("Layanan ini sedang tidak menjawab.", "This service does not answer right now."),
    "docs.openapi": ("Dokumen OpenAPI", "OpenAPI document"),
    "docs.group.operation": ("Pengoperasian", "Operation"),
    "docs.group.demonstration": ("Demo", "Demo"),
    "docs.signed_in": ("perlu token", "needs a token"),
    "docs.parameters": ("Parameter", "Parameters"),
    "docs.body": ("Isi permintaan", "Request body"),
    "docs.example": ("Contoh", "Example"),
    "docs.answers": ("Jawaban", "Answers"),
    "docs.curl": ("Dengan curl", "With curl"),
    "docs.name": ("Nama", "Name"),
    "docs.kind": ("Jenis", "Type"),
    "docs.about": ("Keterangan", "About"),
    "docs.required": ("wajib", "required"),
    "docs.refusals": (
        "Setiap penolakan adalah problem details (RFC 9457) dengan code yang tetap.",
        "Every refusal is problem details (RFC 9457) with a code that stays.",
    ),
    "docs.base": (
        "BASE adalah alamat gerbang, TOKEN adalah access_token dari POST /accounts/token.",
        "BASE is the gateway's address, TOKEN the access_token of POST /accounts/token.",
    ),
    "events.title": ("Katalog peristiwa", "The catalogue of events"),
    "events.lead": (
        "Peristiwa antarlayanan: CloudEvents 1.0 di exchange batalkan.events. "
        "Setiap layanan memutuskan sendiri apa yang dilakukannya.",
        "The events between the services: CloudEvents 1.0 on the exchange batalkan.events. "
        "Each service decides for itself what to do about it.",
    ),
    "events.asyncapi": ("Dokumen AsyncAPI 3", "AsyncAPI 3 document"),
    "events.published": ("Diterbitkan oleh", "Published by"),
    "events.consumed": ("Dikonsumsi oleh", "Consumed by"),
    "events.keys": ("Routing key", "Routing keys"),
    "events.subject": ("Tentang", "Subject"),
    "events.schema": ("Skema", "Schema"),
    "events.none": ("belum ada", "none yet"),
    "behind.title": ("Di balik layar", "Behind the scenes"),
    "behind.flow": (
        "Peristiwa yang sedang berjalan, langsung; coba rusakkan sesuatu.",
        "Events on their way, live; break something.",
    ),
    "behind.docs": (
        "Semua permintaan, bentuk dan penolakan, dengan contoh.",
        "All requests, shapes and refusals, with examples.",
    ),
    "behind.events": ("Semua peristiwa antarlayanan.", "All events between the services."),
}
